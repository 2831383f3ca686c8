"""The config URL: the URL of an organisation, repository or enterprise (docs/protocol.md § 2).

Both the configuration's checks and the client in `github` use these rules.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

FORCE_GHES = "GITHUB_ACTIONS_FORCE_GHES"
_HOSTED = ("github.com", "www.github.com")
_GIT_OVER_SSH = re.compile(r"(?:ssh://)?git@([\w.-]+)(?::\d+/|[:/])/*([\w./-]+)")
_EXPECTED = "it must be the URL of an organisation, repository or enterprise"


class Kind(StrEnum):
    """What the URL refers to."""

    ORGANISATION = "organisation"
    REPOSITORY = "repository"
    ENTERPRISE = "enterprise"


class InvalidUrl(ValueError):
    """Not a config URL. The message is the reason; `hint` is a correction, or empty."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ConfigUrl:
    """A parsed config URL.

    `text` is the URL as given, without surrounding spaces and slashes; step d of docs/protocol.md § 3.1
    sends it. `host` is in lower case and includes the port, if there is one. `names` are the one or two
    names in the path as given, without the segment `enterprises`.
    """

    text: str
    scheme: str
    host: str
    kind: Kind
    names: tuple[str, ...]

    @property
    def organisation(self) -> str:
        """The organisation, or the owner of the repository; empty for an enterprise."""
        return "" if self.kind is Kind.ENTERPRISE else self.names[0]

    @property
    def repository(self) -> str:
        """The repository without its owner; empty if the URL has none."""
        return self.names[1] if self.kind is Kind.REPOSITORY else ""

    @property
    def enterprise(self) -> str:
        return self.names[0] if self.kind is Kind.ENTERPRISE else ""

    @property
    def api_path(self) -> str:
        """Path of the organisation, repository or enterprise itself, below the API base."""
        section = {Kind.ORGANISATION: "orgs", Kind.REPOSITORY: "repos", Kind.ENTERPRISE: "enterprises"}
        return f"/{section[self.kind]}/{'/'.join(self.names)}"

    @property
    def registration_path(self) -> str:
        """Path of the registration token endpoint, below the API base."""
        return f"{self.api_path}/actions/runners/registration-token"

    def hosted(self, environ: Mapping[str, str]) -> bool:
        """Whether the host is GitHub itself, not a GitHub Enterprise Server."""
        if FORCE_GHES in environ:
            return False
        return self.host in _HOSTED or self.host == "github.localhost" or self.host.endswith(".ghe.com")

    def api_base(self, environ: Mapping[str, str]) -> str:
        """Base URL of the REST API, without a trailing slash."""
        if not self.hosted(environ):
            return f"{self.scheme}://{self.host}/api/v3"
        if self.host in _HOSTED:
            return "https://api.github.com"
        if self.host == "github.localhost":
            return f"{self.scheme}://api.github.localhost"
        return f"https://api.{self.host}"

    @property
    def warning(self) -> str:
        """A warning if the token would be sent unencrypted to another host; else empty."""
        if self.scheme == "https" or _is_loopback(self.host):
            return ""
        return "http:// sends the token in the clear over the network: use https://"


def parse_config_url(text: str) -> ConfigUrl:
    """Parse a config URL. Raises `InvalidUrl`."""
    trimmed = text.strip().strip("/")
    parts = _split(trimmed)
    segments = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    _check_segments(trimmed, segments)
    kind, names = _names(segments)
    return ConfigUrl(trimmed, parts.scheme, parts.netloc.lower(), kind, names)


def _split(text: str) -> SplitResult:
    if found := _GIT_OVER_SSH.fullmatch(text):
        hint = f"https://{found[1]}/{found[2].removesuffix('.git')}"
        raise InvalidUrl("it is the address of a Git repository over SSH", hint)
    if "@" in text:
        raise InvalidUrl("it contains a user name or password", "give the credential as token")
    if "://" not in text:
        raise InvalidUrl("it has no scheme", _with_scheme(text))
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise InvalidUrl(f"it is not a URL ({error})") from error
    if parts.scheme not in ("http", "https"):
        raise InvalidUrl(f"its scheme is {parts.scheme!r}, not https")
    if not parts.hostname:
        raise InvalidUrl("it has no host")
    for sign, what in (("?", "query"), ("#", "fragment")):
        if sign in text:
            raise InvalidUrl(f"it has a {what}", text.partition(sign)[0].rstrip("/"))
    if any(sign.isspace() or not sign.isprintable() for sign in text):
        raise InvalidUrl("it contains a space or an unprintable character")
    return parts


def _with_scheme(text: str) -> str:
    """The URL that a text without a scheme was meant to be, with its other mistakes corrected too."""
    url = f"https://{text}" if "." in text.split("/")[0] else f"https://github.com/{text or 'my-org'}"
    try:
        parse_config_url(url)
    except InvalidUrl as error:
        return error.hint or url
    return url


def _check_api(base: str, segments: list[str]) -> None:
    host = base.partition("://")[2].lower()
    if host == "api.github.com" or (host.startswith("api.") and host.endswith(".ghe.com")):
        web, rest = base.replace("api.", "", 1), segments
    elif [part.lower() for part in segments[:2]] == ["api", "v3"]:
        web, rest = base, segments[2:]
    else:
        return
    names = rest[1:] if rest and rest[0].lower() in ("orgs", "repos", "users") else rest
    wanted = names[:1] if rest and rest[0].lower() == "orgs" else names[:2]
    raise InvalidUrl(
        f"it is an address of GitHub's API: {_EXPECTED}", "/".join([web, *(wanted or ["my-org"])])
    )


def _check_segments(text: str, segments: list[str]) -> None:
    root = text.split("/", 3)
    base = "/".join(root[:3])
    if not {".", ".."}.isdisjoint(segments):
        raise InvalidUrl(f"its path has a part that is no name: {_EXPECTED}")
    _check_api(base, segments)
    if not segments:
        raise InvalidUrl(f"it has no path: {_EXPECTED}", f"{base}/my-org")
    if "" in segments:
        raise InvalidUrl("its path has an empty part", f"{base}/{'/'.join(filter(None, segments))}")
    first = segments[0].lower()
    if first in ("orgs", "organizations", "organisations", "users"):
        raise InvalidUrl(f"it begins with {segments[0]}/: {_EXPECTED}", _without_first(base, segments))
    if first == "settings" or "settings" in (part.lower() for part in segments[2:]):
        raise InvalidUrl(f"it is a settings page: {_EXPECTED}", _before_settings(base, segments))
    if first == "enterprises" and len(segments) == 1:
        raise InvalidUrl("it names no enterprise", f"{base}/enterprises/NAME")
    if segments[-1].lower().endswith(".git"):
        raise InvalidUrl("it ends in .git: that is the clone URL", text[: -len(".git")])
    if len(segments) > 2:
        raise InvalidUrl(
            f"its path has {len(segments)} parts: {_EXPECTED}", f"{base}/{segments[0]}/{segments[1]}"
        )


def _without_first(base: str, segments: list[str]) -> str:
    return f"{base}/{segments[1]}" if len(segments) > 1 else f"{base}/my-org"


def _before_settings(base: str, segments: list[str]) -> str:
    kept = [] if segments[0].lower() == "settings" else segments[:2]
    return f"{base}/{'/'.join(kept)}" if kept else f"{base}/my-org"


def _names(segments: list[str]) -> tuple[Kind, tuple[str, ...]]:
    if segments[0].lower() == "enterprises":
        return Kind.ENTERPRISE, (segments[1],)
    return (Kind.REPOSITORY if len(segments) == 2 else Kind.ORGANISATION), tuple(segments)


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
