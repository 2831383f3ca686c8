"""A GitHub App: its JWT, signed with its private key, and the tokens of its installations.

    private key ──a──► JWT ──b──► installation token

The letters are those of docs/protocol.md § 3.1. A key in a file is read again when GitHub refuses it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from runscaler.config.private_keys import usable_key
from runscaler.config.secrets import Secret, Unresolved, resolve
from runscaler.github.app_errors import app_error
from runscaler.github.error_replies import server_time, unreadable
from runscaler.github.fields import Fields
from runscaler.github.jwt import refresh_after
from runscaler.github.shared_token import SharedToken
from runscaler.github.wire import Request, bearer

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock
    from runscaler.config.model import AppSettings
    from runscaler.config.urls import ConfigUrl
    from runscaler.github.rate_limited import RateLimitedTransport
    from runscaler.github.wire import Authorization, Reply
    from runscaler.interrupt import Interrupt

BACKDATED = 60
"""Seconds by which a JWT is dated back, so that it is valid where GitHub's clock is a little behind."""
LIFETIME = 540
LONGEST_MARGIN = 300.0
UNKNOWN_LIFETIME = 300.0
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a call is made: the config URL, which messages name, and what `Transport.send` needs."""

    url: ConfigUrl
    user_agent: str
    interrupt: Interrupt
    seconds: float


@dataclass(frozen=True, slots=True)
class AppCall:
    """A call that the App's JWT authorises. `what` is as in `Request`."""

    what: str
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class InstallationToken:
    """Authorises the REST calls of one installation. All times are wall-clock seconds of this host."""

    token: Secret
    fetched_at: float
    refresh_at: float
    expires_at: float

    @property
    def authorization(self) -> Authorization:
        return bearer(self.token)

    def postponed(self, until: float) -> InstallationToken:
        return replace(self, refresh_at=min(until, self.expires_at))


class GitHubApp:
    """One App at one REST API, with the installations that its scale sets share. Thread-safe.

    `api_base` is the API's address without a final slash.
    """

    def __init__(
        self, settings: AppSettings, api_base: str, transport: RateLimitedTransport, clock: Clock
    ) -> None:
        self.client_id = settings.client_id
        self.key_file = settings.private_key.file
        self._key = settings.private_key
        self._key_problem = ""
        self._api_base, self._transport, self._clock = api_base, transport, clock
        self._lock = threading.Lock()
        self._tokens: dict[int, SharedToken[InstallationToken]] = {}

    @property
    def how_to_replace_the_key(self) -> str:
        if self._key_problem:
            return f"mend the key's file, which is read again at each try ({self._key_problem})"
        where = f"write it to {self.key_file}, which is read again at each try" if self.key_file else ""
        return f"make a private key on the App's page, and {where or 'give it as private-key'}"

    def tokens_of(self, installation: int, url: ConfigUrl) -> SharedToken[InstallationToken]:
        """The token of an installation, the same for all that ask. Messages name the first one's `url`."""

        def fetch(user_agent: str, interrupt: Interrupt, seconds: float) -> InstallationToken:
            what = f"get a token for the installation {installation} of the App {self.client_id}"
            path = f"/app/installations/{installation}/access_tokens"
            caller = Caller(url, user_agent, interrupt, seconds)
            return self._call(AppCall(what, "POST", path), self._read_token, caller)

        with self._lock:
            return self._tokens.setdefault(installation, SharedToken(fetch, self._clock))

    def find_installation(self, caller: Caller) -> int:
        """The id of the installation for the caller's organisation or repository. Raises `NotFound` if there
        is none, other `GitHubError`s, and `Interrupted`."""
        what = f"find the installation of the App {self.client_id} for {caller.url.text}"
        call = AppCall(what, "GET", f"{quote(caller.url.api_path)}/installation")
        return self._call(call, _installation_id, caller)

    def owner_of(self, installation: int, caller: Caller) -> str:
        """What the organisation or user with this installation is called now. Raises as the others."""
        what = f"look up the installation {installation} of the App {self.client_id}"
        call = AppCall(what, "GET", f"/app/installations/{installation}")
        return self._call(call, _account, caller)

    def _call(self, call: AppCall, read: Callable[[Reply], Result], caller: Caller) -> Result:
        request, reply = self._send(call, caller)
        if reply.status == 401 and self._key_has_changed():
            request, reply = self._send(call, caller)
        if not reply.ok:
            raise app_error(request, reply, self, caller.url, self._clock.wall())
        try:
            return read(reply)
        except ValueError as error:
            raise unreadable(request, reply, error) from error

    def _send(self, call: AppCall, caller: Caller) -> tuple[Request, Reply]:
        request = Request(
            what=call.what,
            method=call.method,
            url=f"{self._api_base}{call.path}",
            authorization=bearer(self._jwt()),
            headers={"Content-Type": "application/vnd.github+json", "User-Agent": caller.user_agent},
            rest=True,
        )
        return request, self._transport.send(request, caller.interrupt, caller.seconds)

    def _jwt(self) -> Secret:
        import jwt

        issued = int(self._clock.wall()) - BACKDATED
        claims = {"iat": issued, "exp": issued + LIFETIME, "iss": self.client_id}
        return Secret(jwt.encode(claims, self._key.reveal(), algorithm="RS256"))

    def _key_has_changed(self) -> bool:
        """Read the key's file again: does it hold another key by now?"""
        if self.key_file is None:
            return False
        written = f"file:{self.key_file}"
        try:
            fresh = Secret(usable_key(resolve(written, {}, Path()), written))
        except Unresolved as error:
            self._key_problem = str(error)
            return False
        self._key_problem = ""
        known, self._key = self._key, fresh
        return fresh != known

    def _read_token(self, reply: Reply) -> InstallationToken:
        """Its lifetime is measured by GitHub's clock, as this host's may be wrong."""
        fields = Fields(reply.json())
        token, expiry, now = fields.text("token"), fields.info_time("expires_at"), self._clock.wall()
        if not token:
            raise ValueError("token is missing")
        left = 0.0 if expiry is None else expiry - (server_time(reply) or now)
        if left <= 0:
            return InstallationToken(Secret(token), now, now + UNKNOWN_LIFETIME, now + UNKNOWN_LIFETIME)
        self._transport.meter.token_expires("app", now + left)
        refresh = now + refresh_after(left, LONGEST_MARGIN, self._clock)
        return InstallationToken(Secret(token), now, refresh, now + left)


def _installation_id(reply: Reply) -> int:
    number = Fields(reply.json()).id_number("id")
    if number < 1:
        raise ValueError("id is missing")
    return number


def _account(reply: Reply) -> str:
    account = Fields(reply.json()).raw("account")
    return Fields(account).text("login") if isinstance(account, dict) else ""
