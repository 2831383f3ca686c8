"""A call as it goes over the wire and what comes back; the authorisations that are put on it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from requests.auth import AuthBase
from requests.exceptions import InvalidHeader

from runscaler.github.fields import JsonValue, escaped, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest

    from runscaler.config.secrets import Secret

READ_TIMEOUT = 30.0
POLL_READ_TIMEOUT = 90.0
CALL_DEADLINE = 60.0
POLL_DEADLINE = 120.0


class Authorization(AuthBase):
    """`SCHEME TOKEN`. An `AuthBase`, because without one requests would look into ~/.netrc."""

    def __init__(self, scheme: str, token: Secret) -> None:
        self._scheme = scheme
        self._token = token

    def __call__(self, prepared: PreparedRequest) -> PreparedRequest:
        token = self._token.reveal()
        if not (token.isascii() and token.isprintable()):
            raise InvalidHeader("the token holds characters that cannot be sent")  # http.client would show it
        prepared.headers["Authorization"] = f"{self._scheme} {token}"
        return prepared


def bearer(token: Secret) -> Authorization:
    return Authorization("Bearer", token)


@dataclass(frozen=True, slots=True)
class Request:
    """One try of one call.

    `what` is a verb phrase for messages ("find the scale set"). `rest`: the call counts in the REST
    API's budget. `poll`: silence is normal for a long poll's time, and it takes no place from others.
    `precious`: what it makes can be found by its reply only, which a cut waits for a moment.
    """

    what: str
    method: str
    url: str
    authorization: Authorization
    headers: Mapping[str, str]
    body: bytes | None = field(default=None, repr=False)
    rest: bool = False
    poll: bool = False
    precious: bool = False

    @property
    def host(self) -> str:
        return host_of(self.url)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply. `headers` are looked up without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    host: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def request_id(self) -> str:
        """GitHub's id of the call, or the old service's; empty where there is none."""
        return escaped(self.headers.get("X-GitHub-Request-Id") or self.headers.get("ActivityId") or "", 80)

    @property
    def text(self) -> str:
        """The body as far as it can be read: for messages only."""
        return self.body[:20_000].decode("utf-8-sig", errors="replace").strip()

    def json(self) -> JsonValue:
        """Raises `ValueError`."""
        return parse_json(self.body)


def json_body(value: JsonValue) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def host_of(url: str) -> str:
    return urlsplit(url).netloc.lower()


def origin_of(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def usable_url(url: str, name: str, *, secure: bool) -> str:
    """A URL that GitHub handed out, or `ValueError`; `secure`: it must be https."""
    scheme, host = origin_of(url)
    if not url:
        raise ValueError(f"{name} is missing")
    if urlsplit(url).port == 0:  # one that is no number raises here
        raise ValueError(f"{name} has a port that cannot be used")
    if scheme not in ("http", "https") or not host:
        raise ValueError(f"{name} is not a URL")
    if secure and scheme != "https":
        raise ValueError(f"{name} is not https, so no token may go there")
    return url
