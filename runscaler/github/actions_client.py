"""Calls of one scale set to the actions service and its queue: tokens, retries and reading in one place."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from runscaler.errors import AccessDenied, NotFound, QueueTokenExpired, ScaleSetGone
from runscaler.github.endpoints import SERVICE_HEADERS, service_url
from runscaler.github.error_replies import error_from_reply, reply_error, unreadable
from runscaler.github.identity import Identity, Subsystem
from runscaler.github.retry_policy import RetryMode
from runscaler.github.wire import Reply, Request, bearer

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
    """A call of the actions service. `what` is a verb phrase; `session`: its queue token opens it.
    `semaphore` bounds how many such calls are on the wire at once; `precious` as in `Request`."""

    what: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    subsystem: Subsystem = Subsystem.LISTENER
    retry: RetryMode = RetryMode.IDEMPOTENT
    session: Session | None = None
    semaphore: InterruptibleSemaphore | None = None
    precious: bool = False


class ActionsClient:
    """One scale set's caller; `scale_set_id` is 0 until the client learns it."""

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
        return self._admin_tokens.secure

    def user_agent(self, subsystem: Subsystem) -> str:
        return self._identity.user_agent(self.scale_set_id, subsystem)

    def call(
        self,
        call: ServiceCall,
        read: Callable[[JsonValue], Result],
        interrupt: Interrupt,
        seconds: float | None,
    ) -> Result:
        """What `read` makes of the successful reply's body (None where it has none).

        A `ValueError` of it is as good as no reply.

        Raises what `error_from_reply` says, `AccessDenied` for a second 401, `QueueTokenExpired` for a 401 of a
        call with a session.
        """

        return self.call_for_reply(call, lambda reply: read(_content(reply)), interrupt, seconds)

    def call_for_reply(
        self,
        call: ServiceCall,
        read: Callable[[Reply], Result],
        interrupt: Interrupt,
        seconds: float | None,
    ) -> Result:
        """The same for what needs more of the reply than its body."""

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
        """Make sure that there is an admin_token before a call whose failure must not be ambiguous."""

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
        """The same for the queue itself, whose token only the session's refresh renews."""

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
            precious=call.precious,
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
def scale_set_needed() -> Iterator[None]:
    """In a call to a scale set, "not found" means that the scale set is gone (fault F58)."""
    try:
        yield
    except NotFound as error:
        raise ScaleSetGone(str(error), status=error.status, request_id=error.request_id) from error
