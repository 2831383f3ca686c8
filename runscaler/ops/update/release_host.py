"""Where releases are published: a GitHub repository's releases, or anything that serves the same addresses.

    ADDRESS/download/TAG/NAME      a file of a release
    the list of releases           api.github.com/repos/OWNER/NAME/releases, elsewhere HOST/api/v3/repos/…

No credential is sent: a redirect may lead to another host, where GitHub keeps the files, but never from
https to http.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit

import requests

from runscaler.clock import SystemClock
from runscaler.errors import Unreachable, UpdateFailed
from runscaler.github.adapter import GitHubAdapter
from runscaler.github.fields import escaped
from runscaler.github.network_errors import LIBRARY_ERRORS, require_usable_proxy, unreachable
from runscaler.github.tls import tls_context
from runscaler.interrupt import Interrupt
from runscaler.net.cancellable import CallCancelled, CancellableCall
from runscaler.net.deadlines import Deadlines
from runscaler.net.proxies import proxy_for
from runscaler.ops.update.versions import Release, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

RELEASES = "https://github.com/ysya/runscaler/releases"
RELEASES_VARIABLE = "RUNNER_RELEASES"
MAX_TEXT = 8 * 1024 * 1024
MAX_ARCHIVE = 128 * 1024 * 1024
MAX_REDIRECTS = 3
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 30.0
TEXT_DEADLINE, ARCHIVE_DEADLINE = 60.0, 1800.0
CHUNK = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_FIXES = ("check this host's network; HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE count here",)


def release_address(environ: Mapping[str, str] = os.environ) -> str:
    """The address of the releases, without a slash at its end. Raises `UpdateFailed` for a bad setting."""
    address = (environ.get(RELEASES_VARIABLE) or RELEASES).rstrip("/")
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UpdateFailed(
            f"{RELEASES_VARIABLE} is no address: {escaped(address, 100)}",
            fixes=(f"set it to an address like {RELEASES}, or not at all",),
        )
    return address


def list_address(address: str) -> str:
    """Where GitHub's API lists the releases at that address."""
    parts = urlsplit(address)
    api = (
        "https://api.github.com"
        if parts.hostname == "github.com"
        else f"{parts.scheme}://{parts.netloc}/api/v3"
    )
    return f"{api}/repos{parts.path}?per_page=100"


class ReleaseHost:
    """A context manager, for one thread. All methods raise `UpdateFailed` or `Unreachable`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._interrupt = Interrupt()

    def __enter__(self) -> Self:
        self._deadlines = Deadlines(SystemClock())
        self._session = requests.Session()
        self._session.trust_env = False
        adapter = GitHubAdapter(tls_context())
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._deadlines.close()

    def releases(self) -> list[Release]:
        """All published releases whose tag is a version."""
        what = "list the releases"
        body = self._text(what, list_address(self._address))
        try:
            listed = json.loads(body)
        except ValueError as error:
            raise UpdateFailed(f"could not {what}: the reply of {self._address} is no JSON") from error
        if not isinstance(listed, list):
            raise UpdateFailed(f"could not {what}: the reply of {self._address} is no list")
        return [release for each in listed if (release := _release(each)) is not None]

    def text(self, tag: str, name: str) -> str:
        """A small file of a release."""
        return self._text(f"get {name} of {tag}", self._file(tag, name)).decode("utf-8", "replace")

    def download(self, tag: str, name: str, target: IO[bytes]) -> str:
        """Write a file of a release to `target`; returns its SHA-256 in hexadecimal. Raises OSError too."""
        what, digest, size = f"download {name} of {tag}", hashlib.sha256(), 0
        with self._reply(what, self._file(tag, name), ARCHIVE_DEADLINE) as reply:
            while chunk := self._chunk(what, reply):
                size += len(chunk)
                if size > MAX_ARCHIVE:
                    raise UpdateFailed(f"could not {what}: it is larger than {MAX_ARCHIVE // 2**20} MiB")
                digest.update(chunk)
                target.write(chunk)
        return digest.hexdigest()

    def _file(self, tag: str, name: str) -> str:
        return f"{self._address}/download/{tag}/{name}"

    def _text(self, what: str, url: str) -> bytes:
        body = bytearray()
        with self._reply(what, url, TEXT_DEADLINE) as reply:
            while chunk := self._chunk(what, reply):
                body += chunk
                if len(body) > MAX_TEXT:
                    raise UpdateFailed(f"could not {what}: the reply is larger than {MAX_TEXT // 2**20} MiB")
        return bytes(body)

    @contextmanager
    def _reply(self, what: str, url: str, seconds: float) -> Iterator[requests.Response]:
        """The reply at the end of all redirects, with its body unread."""
        call = CancellableCall()
        with call.running(self._interrupt), self._deadlines.limit(seconds, call.cancel):
            reply = self._follow(what, url)
            try:
                if reply.status_code != requests.codes.ok:
                    raise _refusal(what, reply)
                yield reply
            except CallCancelled as error:
                raise Unreachable(f"could not {what}: it took longer than {seconds:.0f} s") from error
            finally:
                reply.close()

    def _follow(self, what: str, url: str) -> requests.Response:
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._get(what, url)
            if reply.status_code not in _REDIRECTS:
                return reply
            reply.close()
            url = _redirected(what, url, reply.headers.get("Location", ""))
        raise UpdateFailed(f"could not {what}: more than {MAX_REDIRECTS} redirects")

    def _get(self, what: str, url: str) -> requests.Response:
        proxy = proxy_for(url)
        if proxy:
            require_usable_proxy(what, proxy)
        try:
            return self._session.get(
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "runscaler"},
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                proxies={"http": proxy, "https": proxy} if proxy else {},
                allow_redirects=False,
                stream=True,
            )
        except LIBRARY_ERRORS as error:
            raise _unreachable(error, what, url, proxy) from error

    def _chunk(self, what: str, reply: requests.Response) -> bytes:
        try:
            return bytes(reply.raw.read(CHUNK, decode_content=False))
        except LIBRARY_ERRORS as error:
            raise _unreachable(error, what, reply.url, None) from error


def _release(value: Any) -> Release | None:
    """A row of GitHub's list, which may hold anything; None for drafts and tags that are no versions."""
    if not isinstance(value, dict) or value.get("draft"):
        return None
    tag = value.get("tag_name")
    try:
        return (
            Release(tag, parse_version(tag), bool(value.get("prerelease"))) if isinstance(tag, str) else None
        )
    except ValueError:
        return None


def _redirected(what: str, url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        before, after = urlsplit(url), urlsplit(target)
        usable = bool(location and after.hostname) and after.scheme in {before.scheme, "https"}
    except ValueError:
        target, usable = location, False
    if not usable:
        shown = escaped(target.partition("?")[0])
        raise UpdateFailed(
            f"could not {what}: {urlsplit(url).netloc} redirects to {shown}, which is not safe to follow"
        )
    return target


def _refusal(what: str, reply: requests.Response) -> UpdateFailed:
    host, status = urlsplit(reply.url).netloc, reply.status_code
    if status in {403, 429} and reply.headers.get("X-RateLimit-Remaining") == "0":
        return UpdateFailed(
            f"could not {what}: {host} answers no more requests of this address for now",
            fixes=(
                "try again in an hour",
                "name the version, which needs no list: runner update --to VERSION",
            ),
        )
    return UpdateFailed(f"could not {what}: {host} answered {status}")


def _unreachable(error: Exception, what: str, url: str, proxy: str | None) -> Unreachable:
    found = unreachable(error, what, url, proxy)
    found.fixes = _FIXES
    return found
