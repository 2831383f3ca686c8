"""Exchanges a credential for an `AdminToken` and keeps that fresh for all who share it.

    credential ──c──► registration token ──d──► admin JWT and address of the actions service

The letters are those of docs/protocol.md § 3.1. A refresh always takes both steps. One thread makes it for
all that need it: shortly before the token expires, or when GitHub refuses the token earlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from runscaler.config.secrets import Secret
from runscaler.errors import AccessDenied, GitHubError, NotFound
from runscaler.github.access_errors import access_error, with_redirect
from runscaler.github.admin_token import AdminToken, read_admin_token
from runscaler.github.error_replies import error_from_reply, server_time, unreadable
from runscaler.github.fields import Fields
from runscaler.github.wire import Authorization, Reply, Request, json_body
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.config.urls import ConfigUrl
    from runscaler.github.credentials import Credential
    from runscaler.github.rate_limited import RateLimitedTransport
    from runscaler.interrupt import Interrupt

REGISTER_ATTEMPTS = 5
RENEWAL_GAP = 10.0
POSTPONED = 30.0
REFUSALS = (401, 403, 404)
"""Statuses with which GitHub refuses a credential; it hides what a credential may not see."""


class AdminTokenCache:
    """One for each credential and config URL. `api_base` is the REST API's address without a final slash.

    Thread-safe. `seconds` is how long each request may take, and how long a refused one is tried again.
    """

    def __init__(
        self,
        credential: Credential,
        url: ConfigUrl,
        api_base: str,
        transport: RateLimitedTransport,
        clock: Clock,
    ) -> None:
        self._credential = credential
        self._url = url
        self._api_base = api_base
        self._transport = transport
        self._clock = clock
        self._refreshing = InterruptibleSemaphore(1)
        self._token: AdminToken | None = None
        self._rounds = 0
        self._failure: GitHubError | None = None
        self._renewed_at: float | None = None
        self._redirected_to = ""
        """Where GitHub redirected the last request for a registration token; empty: nowhere."""

    @property
    def secure(self) -> bool:
        """Must every address be https, because the config URL is?"""
        return self._url.scheme == "https"

    def current(self, user_agent: str, interrupt: Interrupt, seconds: float) -> AdminToken:
        """A token that has not expired. Raises `GitHubError`, `Interrupted`.

        If a refresh fails while the token is still valid, that one is used for another 30 s.
        """
        known = self._token
        if known is not None and self._clock.wall() < known.refresh_at:
            return known
        try:
            return self._refreshed(known, user_agent, interrupt, seconds)
        except GitHubError:
            if known is None or self._clock.wall() >= known.expires_at:
                raise
            self._token = known.postponed(self._clock.wall() + POSTPONED)
            return self._token

    def renew(self, refused: AdminToken, user_agent: str, interrupt: Interrupt, seconds: float) -> AdminToken:
        """Another token than `refused`, which GitHub did not accept. Fetched at most once in 10 s.

        Raises `GitHubError`, `Interrupted`.
        """
        if self._renewed_at is not None and self._token is refused:
            gap = self._renewed_at + RENEWAL_GAP - self._clock.monotonic()
            if gap > 0:
                self._clock.pause(gap, interrupt)
        if self._token is not refused and self._token is not None:
            return self._token
        fresh = self._refreshed(refused, user_agent, interrupt, seconds)
        self._renewed_at = self._clock.monotonic()
        return fresh

    def _refreshed(
        self, known: AdminToken | None, user_agent: str, interrupt: Interrupt, seconds: float
    ) -> AdminToken:
        """One refresh at a time. A thread that waited for another's refresh takes its result, or raises its
        error."""
        before = self._rounds
        with self._refreshing.held(interrupt):
            if self._token is not None and self._token is not known:
                return self._token
            if self._failure is not None and self._rounds != before:
                raise self._failure
            self._failure = None  # of an earlier round; this one may be interrupted and leave none
            try:
                self._token = self._register(user_agent, interrupt, seconds)
            except GitHubError as error:
                self._failure = error
                raise
            finally:
                self._rounds += 1
            return self._token

    def _register(self, user_agent: str, interrupt: Interrupt, seconds: float) -> AdminToken:
        self._redirected_to = ""
        try:
            return self._make_steps(user_agent, interrupt, seconds)
        except (AccessDenied, NotFound) as error:
            raise with_redirect(error, self._url, self._redirected_to) from error

    def _make_steps(self, user_agent: str, interrupt: Interrupt, seconds: float) -> AdminToken:
        """Steps c and d. GitHub may refuse a registration token that is a moment old (fault F31), so it is
        tried several times, and then fetched anew, once. After `seconds` the refusal is final."""
        deadline = self._clock.monotonic() + seconds
        for _ in range(2):
            token = self._registration_token(user_agent, interrupt, seconds)
            for attempt in range(REGISTER_ATTEMPTS):
                request = self._register_request(token, user_agent)
                reply = self._transport.send(request, interrupt, seconds)
                if reply.status not in (401, 403):
                    return self._read(request, reply)
                pause = self._clock.jitter(2.0**attempt)
                if self._clock.monotonic() + pause >= deadline:
                    raise self._refusal(request, reply)
                self._clock.pause(pause, interrupt)
        raise self._refusal(request, reply)

    def _registration_token(self, user_agent: str, interrupt: Interrupt, seconds: float) -> Secret:
        request, reply = self._send_credential(user_agent, interrupt, seconds)
        if reply.status in REFUSALS and self._credential.has_changed():
            request, reply = self._send_credential(user_agent, interrupt, seconds)
        if not reply.ok:
            raise self._refusal(request, reply)
        try:
            token = Fields(reply.json()).text("token")
            if not token:
                raise ValueError("token is missing")
        except ValueError as error:
            raise unreadable(request, reply, error) from error
        return Secret(token)

    def _send_credential(
        self, user_agent: str, interrupt: Interrupt, seconds: float
    ) -> tuple[Request, Reply]:
        request = Request(
            what=f"get a registration token for {self._url.text}",
            method="POST",
            url=self._api_base + quote(self._url.registration_path),
            authorization=self._credential.authorization(interrupt, seconds),
            headers={"Content-Type": "application/vnd.github.v3+json", "User-Agent": user_agent},
            rest=True,
        )
        reply = self._transport.send(request, interrupt, seconds)
        self._redirected_to = reply.redirected_to
        return request, reply

    def _refusal(self, request: Request, reply: Reply) -> GitHubError:
        how = self._credential.how_to_replace
        return access_error(request, reply, self._url, self._clock.wall(), how)

    def _register_request(self, token: Secret, user_agent: str) -> Request:
        return Request(
            what=f"register at {self._url.text}",
            method="POST",
            url=f"{self._api_base}/actions/runner-registration",
            authorization=Authorization("RemoteAuth", token),
            headers={"Content-Type": "application/json", "User-Agent": user_agent},
            body=json_body({"url": self._url.text, "runner_event": "register"}),
            rest=True,
        )

    def _read(self, request: Request, reply: Reply) -> AdminToken:
        if not reply.ok:
            raise error_from_reply(request, reply)
        try:
            token = read_admin_token(reply.json(), self._clock, server_time(reply), secure=self.secure)
        except ValueError as error:
            raise unreadable(request, reply, error) from error
        self._transport.meter.token_expires("admin", token.expires_at)
        return token
