"""The calls of one scale set to the actions service and the message queue: tokens, retries, decoding."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from runscaler.errors import AccessDenied, NotFound, QueueTokenExpired, ScaleSetGone
from runscaler.github.endpoints import SERVICE_HEADERS, service_url
from runscaler.github.error_replies import error_from_reply, reply_error, unreadable
from runscaler.github.identity import Identity, Subsystem
from runscaler.github.retry_policy import RetryMode
from runscaler.github.wire import Lane, Reply, Request, bearer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runscaler.github.admin_token import AdminToken
    from runscaler.github.admin_token_cache import AdminTokenCache
    from runscaler.github.base import Session
    from runscaler.github.fields import JsonValue
    from runscaler.github.rate_limited import RateLimitedTransport
    from runscaler.github.retrying import RetryingCaller
    from runscaler.interrupt import Interrupt
    from runscaler.net.semaphore import InterruptibleSemaphore

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """A call of the actions service. `what`, `grace`, `lane` and `registers` are as in `Request`.

    With a `session`, that session's queue token authorises the call instead of the admin token. A
    `semaphore` limits how many such calls are made at once.
    """

    what: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    subsystem: Subsystem = Subsystem.LISTENER
    retry: RetryMode = RetryMode.IDEMPOTENT
    session: Session | None = None
    semaphore: InterruptibleSemaphore | None = None
    grace: float = 0.0
    lane: Lane = Lane.START
    registers: str = ""


class ActionsClient:
    """Makes the calls of one scale set; `scale_set_id` is 0 until it is known. Thread-safe.

    `seconds` is how long a call is retried, None for ever. All calls raise `GitHubError` and `Interrupted`.
    """

    def __init__(
        self,
        admin_tokens: AdminTokenCache,
        transport: RateLimitedTransport,
        retrying: RetryingCaller,
        identity: Identity,
    ) -> None:
        self.scale_set_id = 0
        self._admin_tokens = admin_tokens
        self._transport = transport
        self._retrying = retrying
        self._identity = identity

    @property
    def secure(self) -> bool:
        """Must every address that GitHub hands out be https?"""
        return self._admin_tokens.secure

    @property
    def clock_skew(self) -> float:
        """Seconds that this host's clock is ahead of GitHub's."""
        return self._transport.skew.seconds

    @property
    def moved_to(self) -> str:
        """The config URL with the names that GitHub uses now; empty while they are the configured ones."""
        return self._admin_tokens.moved_to

    def session_token_expires(self, at: float) -> None:
        """At this wall-clock second."""
        self._transport.meter.token_expires("session", at)

    def user_agent(self, subsystem: Subsystem) -> str:
        return self._identity.user_agent(self.scale_set_id, subsystem)

    def call(
        self,
        call: ServiceCall,
        read: Callable[[JsonValue], Result],
        interrupt: Interrupt,
        seconds: float | None,
    ) -> Result:
        """What `read` makes of the body of a successful reply; None stands for an empty body.

        A `ValueError` raised by `read` makes the reply `MalformedReply`, which is retried.

        Raises what `error_from_reply` gives, `AccessDenied` for a second 401 in a row, `QueueTokenExpired`
        for a 401 of a call with a session.
        """
        return self.call_for_reply(call, lambda reply: read(_content(reply)), interrupt, seconds)

    def call_for_reply(
        self,
        call: ServiceCall,
        read: Callable[[Reply], Result],
        interrupt: Interrupt,
        seconds: float | None,
    ) -> Result:
        """As `call`, where `read` needs more of the reply than its body."""

        def attempt(left: float) -> Result:
            with call.semaphore.held(interrupt) if call.semaphore else nullcontext():
                request, reply = self._exchange(call, interrupt, left)
            return _read(request, reply, read)

        if call.retry is RetryMode.ONLY_IF_UNSENT:
            self.ensure_admin_token(call.subsystem, interrupt, seconds)
        return self._retrying.call_with_retries(attempt, interrupt, seconds, call.retry)

    def ensure_admin_token(
        self, subsystem: Subsystem, interrupt: Interrupt, seconds: float | None
    ) -> AdminToken:
        """A valid admin token. A call that must not be repeated gets it first, with retries of its own."""

        def attempt(left: float) -> AdminToken:
            return self._admin_tokens.current(self.user_agent(subsystem), interrupt, left)

        return self._retrying.call_with_retries(attempt, interrupt, seconds, RetryMode.NOT_IDEMPOTENT)

    def call_queue(
        self,
        request: Request,
        read: Callable[[Reply], Result],
        interrupt: Interrupt,
        seconds: float | None,
    ) -> Result:
        """As `call_for_reply`, to the message queue. Raises `QueueTokenExpired` for a 401, as only a refresh
        of the session renews the queue token."""

        def attempt(left: float) -> Result:
            return self.call_queue_once(request, read, interrupt, left)

        return self._retrying.call_with_retries(attempt, interrupt, seconds, RetryMode.IDEMPOTENT)

    def call_queue_once(
        self,
        request: Request,
        read: Callable[[Reply], Result],
        interrupt: Interrupt,
        seconds: float | None = None,
    ) -> Result:
        """As `call_queue`, without retries. `seconds` limits the request itself."""
        reply = self._transport.send(request, interrupt, seconds)
        if reply.status == 401:
            raise reply_error(QueueTokenExpired, request, reply)
        return _read(request, reply, read)

    def _exchange(self, call: ServiceCall, interrupt: Interrupt, left: float) -> tuple[Request, Reply]:
        agent = self.user_agent(call.subsystem)
        admin_token = self._admin_tokens.current(agent, interrupt, left)
        request = self._request(call, admin_token, agent)
        reply = self._transport.send(request, interrupt, left)
        if reply.status != 401:
            return request, reply
        if call.session is not None:
            raise reply_error(QueueTokenExpired, request, reply)
        self._transport.meter.repeated_with_new_token()
        admin_token = self._admin_tokens.renew(admin_token, agent, interrupt, left)
        request = self._request(call, admin_token, agent)
        reply = self._transport.send(request, interrupt, left)
        if reply.status == 401:
            raise reply_error(AccessDenied, request, reply)
        return request, reply

    @staticmethod
    def _request(call: ServiceCall, admin_token: AdminToken, user_agent: str) -> Request:
        session = call.session
        return Request(
            what=call.what,
            method=call.method,
            url=service_url(admin_token.base_url, call.path, call.query),
            authorization=admin_token.authorization if session is None else bearer(session.queue_token),
            headers={**SERVICE_HEADERS, "User-Agent": user_agent},
            body=call.body,
            grace=call.grace,
            lane=call.lane,
            registers=call.registers,
        )


def _content(reply: Reply) -> JsonValue:
    return reply.json() if reply.body else None


def _read(request: Request, reply: Reply, read: Callable[[Reply], Result]) -> Result:
    if not reply.ok:
        raise error_from_reply(request, reply)
    try:
        return read(reply)
    except ValueError as error:
        raise unreadable(request, reply, error) from error


@contextmanager
def not_found_means_scale_set_gone() -> Iterator[None]:
    """For calls about a scale set, where "not found" means that it was deleted (fault F58)."""
    try:
        yield
    except NotFound as error:
        raise ScaleSetGone(str(error), status=error.status, request_id=error.request_id) from error
