"""HTTP requests to GitHub and its replies, as values; how a request is authorised."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
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


class Lane(Enum):
    """What a call is for."""

    POLL = "poll"
    START = "start"
    """To start a runner, or to keep a session alive: nobody can do without it."""
    END = "end"
    """To leave nothing behind at the end."""
    SETUP = "setup"
    """To get a scale set going: tokens, look-ups, its session."""
    HOUSEKEEPING = "housekeeping"
    """To look after runners and scale sets that are there."""


class Authorization(AuthBase):
    """The header `Authorization: SCHEME TOKEN`. Without an `AuthBase` requests would look into ~/.netrc."""

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
    """One attempt of one call.

    `what` is a verb phrase for messages ("find the scale set"). `rest`: it counts towards the rate limit of
    the REST API. `poll`: a long poll, which may be silent for long and is not limited in number. `grace`
    is how many seconds its reply is still waited for after an interrupt. `registers` is the scale set for
    which it registers a runner; empty for other calls.
    """

    what: str
    method: str
    url: str
    authorization: Authorization
    headers: Mapping[str, str]
    body: bytes | None = field(default=None, repr=False)
    rest: bool = False
    poll: bool = False
    grace: float = 0.0
    lane: Lane = Lane.START
    registers: str = ""

    @property
    def host(self) -> str:
        return host_of(self.url)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply. `headers` ignore case. `redirected_to` is the URL that it came from, if that is not
    the one that was asked."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    host: str = ""
    redirected_to: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def request_id(self) -> str:
        """GitHub's id of the request, or that of the older service; empty if there is none."""
        return escaped(self.headers.get("X-GitHub-Request-Id") or self.headers.get("ActivityId") or "", 80)

    @property
    def request_note(self) -> str:
        """The end of every line about this reply: " (request 1A2B:…)"; empty without an id."""
        return f" (request {self.request_id})" if self.request_id else ""

    @property
    def text(self) -> str:
        """The beginning of the body, with what cannot be decoded replaced."""
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
    """A URL that GitHub handed out. Raises `ValueError` for one that cannot be used; `secure`: it must be
    https. `name` is what the message calls it."""
    scheme, host = origin_of(url)
    if not url:
        raise ValueError(f"{name} is missing")
    if urlsplit(url).port == 0:  # raises if it is not a number
        raise ValueError(f"{name} has a port that cannot be used")
    if scheme not in ("http", "https") or not host:
        raise ValueError(f"{name} is not a URL")
    if secure and scheme != "https":
        raise ValueError(f"{name} is not https, so no token may go there")
    return url
