"""Exchanges a credential for an `AdminToken` and keeps that fresh for all who share it.

    credential ──c──► registration token ──d──► admin JWT and address of the actions service

The letters are those of docs/protocol.md § 3.1. A refresh always takes both steps. One thread makes it for
all that need it: shortly before the token expires, or when GitHub refuses the token earlier.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from runscaler.config.secrets import Secret
from runscaler.errors import AccessDenied, GitHubError, NotFound
from runscaler.github.access_errors import access_error, with_owner, with_redirect
from runscaler.github.admin_token import read_admin_token
from runscaler.github.error_replies import error_from_reply, server_time, unreadable
from runscaler.github.fields import Fields
from runscaler.github.renames import lookup_url, names_in, names_of, renamed
from runscaler.github.shared_token import SharedToken
from runscaler.github.wire import Authorization, Request, json_body

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.config.urls import ConfigUrl
    from runscaler.github.admin_token import AdminToken
    from runscaler.github.credentials import Credential
    from runscaler.github.rate_limited import RateLimitedTransport
    from runscaler.github.wire import Reply
    from runscaler.interrupt import Interrupt

REGISTER_ATTEMPTS = 5
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
        self.credential = credential
        self._url = self._url_now = url
        self._api_base = api_base
        self._transport = transport
        self._clock = clock
        self._shared = SharedToken(self._register, clock)
        self._was_accepted = False
        """Only an owner that was served by the configured name is followed to another one."""
        self._redirected_to = ""
        """Where GitHub redirected the last request for a registration token; empty: nowhere."""

    @property
    def secure(self) -> bool:
        """Must every address be https, because the config URL is?"""
        return self._url.scheme == "https"

    @property
    def moved_to(self) -> str:
        """The config URL with the names that GitHub uses now; empty while they are the configured ones."""
        return "" if self._url_now is self._url else self._url_now.text

    def current(self, user_agent: str, interrupt: Interrupt, seconds: float) -> AdminToken:
        """A token that has not expired. Raises `GitHubError`, `Interrupted`.

        If a refresh fails while the token is still valid, that one is used for another 30 s.
        """
        return self._shared.current(user_agent, interrupt, seconds)

    def renew(self, refused: AdminToken, user_agent: str, interrupt: Interrupt, seconds: float) -> AdminToken:
        """Another token than `refused`, which GitHub did not accept. Fetched at most once in 10 s.

        Raises `GitHubError`, `Interrupted`.
        """
        return self._shared.renew(refused, user_agent, interrupt, seconds)

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
            token, url = self._registration_token(user_agent, interrupt, seconds)
            for attempt in range(REGISTER_ATTEMPTS):
                request = self._register_request(token, url, user_agent)
                reply = self._transport.send(request, interrupt, seconds)
                if reply.status not in (401, 403):
                    self._url_now = url
                    return self._read(request, reply)
                pause = self._clock.jitter(2.0**attempt)
                if self._clock.monotonic() + pause >= deadline:
                    raise self._refusal(request, reply)
                self._clock.pause(pause, interrupt)
        raise self._refusal(request, reply)

    def _registration_token(
        self, user_agent: str, interrupt: Interrupt, seconds: float
    ) -> tuple[Secret, ConfigUrl]:
        """The token, and the config URL with the names that GitHub uses now."""
        url = self._url
        request, reply = self._send_credential(url, user_agent, interrupt, seconds)
        if reply.status in REFUSALS and self.credential.has_changed():
            request, reply = self._send_credential(url, user_agent, interrupt, seconds)
        if reply.status == 404:
            owned = self._with_the_owner_s_new_name(user_agent, interrupt, seconds)
            if owned is not self._url and not self._was_accepted:
                raise with_owner(self._refusal(request, reply), owned)
            if owned is not self._url:
                url = owned
                request, reply = self._send_credential(url, user_agent, interrupt, seconds)
        if not reply.ok:
            raise self._refusal(request, reply)
        self.credential.accepted(reply)
        self._was_accepted = True
        if reply.redirected_to:
            url = self._redirected_url(reply.redirected_to, user_agent, interrupt, seconds)
        try:
            token = Fields(reply.json()).text("token")
            if not token:
                raise ValueError("token is missing")
        except ValueError as error:
            raise unreadable(request, reply, error) from error
        return Secret(token), url

    def _with_the_owner_s_new_name(self, user_agent: str, interrupt: Interrupt, seconds: float) -> ConfigUrl:
        """GitHub redirects nobody from the old name of an organisation, but tells an App the new one."""
        with suppress(GitHubError):
            owner = self.credential.owner_now(user_agent, interrupt, seconds)
            return renamed(self._url, (owner, *self._url.names[1:]))
        return self._url

    def _redirected_url(
        self, redirected_to: str, user_agent: str, interrupt: Interrupt, seconds: float
    ) -> ConfigUrl:
        """Where GitHub redirects to tells the new names, or a number behind which they can be asked for."""
        names = names_in(redirected_to)
        if not names:
            what, where = f"find the new name of {self._url.text}", lookup_url(redirected_to)
            with suppress(GitHubError, ValueError):
                request = self._rest_request(what, "GET", where, user_agent, interrupt, seconds)
                names = names_of(self._transport.send(request, interrupt, seconds).json())
        return renamed(self._url, names)

    def _send_credential(
        self, url: ConfigUrl, user_agent: str, interrupt: Interrupt, seconds: float
    ) -> tuple[Request, Reply]:
        what = f"get a registration token for {url.text}"
        address = self._api_base + quote(url.registration_path)
        request = self._rest_request(what, "POST", address, user_agent, interrupt, seconds)
        reply = self._transport.send(request, interrupt, seconds)
        self._redirected_to = reply.redirected_to
        return request, reply

    def _rest_request(
        self, what: str, method: str, url: str, user_agent: str, interrupt: Interrupt, seconds: float
    ) -> Request:
        return Request(
            what=what,
            method=method,
            url=url,
            authorization=self.credential.authorization(user_agent, interrupt, seconds),
            headers={"Content-Type": "application/vnd.github.v3+json", "User-Agent": user_agent},
            rest=True,
        )

    def _refusal(self, request: Request, reply: Reply) -> GitHubError:
        return access_error(request, reply, self._url, self._clock.wall(), self.credential)

    def _register_request(self, token: Secret, url: ConfigUrl, user_agent: str) -> Request:
        return Request(
            what=f"register at {url.text}",
            method="POST",
            url=f"{self._api_base}/actions/runner-registration",
            authorization=Authorization("RemoteAuth", token),
            headers={"Content-Type": "application/json", "User-Agent": user_agent},
            body=json_body({"url": url.text, "runner_event": "register"}),
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
