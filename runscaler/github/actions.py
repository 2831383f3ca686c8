"""Calls of one scale set to the actions service and its queue: tokens, retries and reading in one place."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from runscaler.errors import AccessDenied, NotFound, QueueTokenExpired, ScaleSetGone
from runscaler.github.endpoints import SERVICE_HEADERS, service_url
from runscaler.github.identity import Identity, Subsystem
from runscaler.github.refusals import error_of, refusal, unreadable
from runscaler.github.retries import Repeat
from runscaler.github.wire import Reply, Request, bearer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runscaler.github.admission import Admission
    from runscaler.github.auth import Registrar
    from runscaler.github.base import Session
    from runscaler.github.courier import Courier
    from runscaler.github.fields import JsonValue
    from runscaler.github.patience import Patience
    from runscaler.interrupt import Interrupt
    from runscaler.net.semaphore import InterruptibleSemaphore

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the actions service. `what` is a verb phrase; `session`: its queue token opens it.
    `semaphore` bounds how many such calls are on the wire at once; `precious` as in `Request`."""

    what: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    subsystem: Subsystem = Subsystem.LISTENER
    repeat: Repeat = Repeat.SAFE
    session: Session | None = None
    semaphore: InterruptibleSemaphore | None = None
    precious: bool = False


class Actions:
    """One scale set's caller; `scale_set_id` is 0 until the client learns it."""

    def __init__(
        self, registrar: Registrar, courier: Courier, patience: Patience, identity: Identity
    ) -> None:
        self.scale_set_id = 0
        self._registrar = registrar
        self._courier = courier
        self._patience = patience
        self._identity = identity

    @property
    def secure(self) -> bool:
        return self._registrar.secure

    def user_agent(self, subsystem: Subsystem) -> str:
        return self._identity.user_agent(self.scale_set_id, subsystem)

    def ask(
        self,
        call: Call,
        read: Callable[[JsonValue], Result],
        interrupt: Interrupt,
        seconds: float | None,
    ) -> Result:
        """What `read` makes of the successful reply's body (None where it has none).

        A `ValueError` of it is as good as no reply.

        Raises what `refusal` says, `AccessDenied` for a second 401, `QueueTokenExpired` for a 401 of a
        call with a session.
        """

        return self.ask_for_reply(call, lambda reply: read(_content(reply)), interrupt, seconds)

    def ask_for_reply(
        self,
        call: Call,
        read: Callable[[Reply], Result],
        interrupt: Interrupt,
        seconds: float | None,
    ) -> Result:
        """The same for what needs more of the reply than its body."""

        def attempt(left: float) -> Result:
            with call.semaphore.held(interrupt) if call.semaphore else nullcontext():
                request, reply = self._exchange(call, interrupt, left)
            return _read(request, reply, read)

        if call.repeat is Repeat.UNSENT:
            self.admit(call.subsystem, interrupt, seconds)
        return self._patience.insist(attempt, interrupt, seconds, call.repeat)

    def admit(self, subsystem: Subsystem, interrupt: Interrupt, seconds: float | None) -> Admission:
        """Make sure that there is an admission before a call whose failure must not be ambiguous."""

        def attempt(left: float) -> Admission:
            return self._registrar.current(self.user_agent(subsystem), interrupt, left)

        return self._patience.insist(attempt, interrupt, seconds, Repeat.LATER)

    def ask_queue(
        self,
        request: Request,
        read: Callable[[Reply], Result],
        interrupt: Interrupt,
        seconds: float | None,
    ) -> Result:
        """The same for the queue itself, whose token only the session's refresh renews."""

        def attempt(left: float) -> Result:
            return self.ask_queue_once(request, read, interrupt, left)

        return self._patience.insist(attempt, interrupt, seconds, Repeat.SAFE)

    def ask_queue_once(
        self,
        request: Request,
        read: Callable[[Reply], Result],
        interrupt: Interrupt,
        seconds: float | None = None,
    ) -> Result:
        reply = self._courier.send(request, interrupt, seconds)
        if reply.status == 401:
            raise error_of(QueueTokenExpired, request, reply)
        return _read(request, reply, read)

    def _exchange(self, call: Call, interrupt: Interrupt, left: float) -> tuple[Request, Reply]:
        agent = self.user_agent(call.subsystem)
        admission = self._registrar.current(agent, interrupt, left)
        request = self._request(call, admission, agent)
        reply = self._courier.send(request, interrupt, left)
        if reply.status != 401:
            return request, reply
        if call.session is not None:
            raise error_of(QueueTokenExpired, request, reply)
        admission = self._registrar.renew(admission, agent, interrupt, left)
        request = self._request(call, admission, agent)
        reply = self._courier.send(request, interrupt, left)
        if reply.status == 401:
            raise error_of(AccessDenied, request, reply)
        return request, reply

    @staticmethod
    def _request(call: Call, admission: Admission, user_agent: str) -> Request:
        session = call.session
        return Request(
            what=call.what,
            method=call.method,
            url=service_url(admission.base_url, call.path, call.query),
            authorization=admission.authorization if session is None else bearer(session.queue_token),
            headers={**SERVICE_HEADERS, "User-Agent": user_agent},
            body=call.body,
            precious=call.precious,
        )


def _content(reply: Reply) -> JsonValue:
    return reply.json() if reply.body else None


def _read(request: Request, reply: Reply, read: Callable[[Reply], Result]) -> Result:
    if not reply.ok:
        raise refusal(request, reply)
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
