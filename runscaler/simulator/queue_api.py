"""The message queue: long polls and acknowledgements (docs/protocol.md § 5)."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

from runscaler.simulator import bodies
from runscaler.simulator.actions_api import not_found
from runscaler.simulator.checks import check_api_version, check_no_body, check_service_token, check_user_agent
from runscaler.simulator.http_messages import ACCEPTED, NO_CONTENT, Reply, json_reply
from runscaler.simulator.refusals import PlainRefusal
from runscaler.simulator.tokens import TokenKind

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Connection, Request
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.records import Session

PREFIX = "/_sim/queue/"
QUEUE = re.compile(r"/_sim/queue/(\d+)/messages(?:/(\d+))?")
DIGITS = re.compile(r"\d{1,18}")
NOTICED_WITHIN = 0.25
"""Seconds, of real time, whatever the simulator's clock, after which a client's hanging up is noticed."""
FOREVER = 86400.0


class QueueApi:
    def __init__(self, lock: MachineLock) -> None:
        self._lock = lock
        self._machine = lock.machine
        self._store = lock.machine.store

    def handle(self, request: Request) -> Reply:
        match = QUEUE.fullmatch(request.path)
        if match and request.method == "GET" and match[2] is None:
            return self._poll(request)
        if match and request.method == "DELETE" and match[2] is not None:
            return self._delete(request, int(match[2]))
        raise not_found(request)

    def _poll(self, request: Request) -> Reply:
        if self._comes_too_late(request):
            return ACCEPTED
        with self._lock:
            session = self._session(request)
            check_api_version(self._store, request, request.header("accept"))
            cursor, capacity = self._cursor(request), self._capacity(request)
            number = self._machine.sessions.poll_begins(session, cursor, capacity)
        request.connection.when_gone(lambda: self._lock.wake(session.id))
        try:
            return self._await_message(request, session, number, cursor)
        finally:
            request.connection.when_gone(None)
            with self._lock:
                self._machine.sessions.poll_ends(session)

    def _comes_too_late(self, request: Request) -> bool:
        """Was it broken off by its client, which then ended the session? It is no use of it, only read
        late."""
        with self._lock:
            session = self._store.sessions.get(request.query.get("sessionId", ""))
        ended_by_client = session is not None and session.by_client and not session.live
        return ended_by_client and hangs_up(request.connection)

    def _await_message(self, request: Request, session: Session, number: int, cursor: int) -> Reply:
        def ready() -> Reply | None:
            if request.connection.gone() or session.poll != number:
                return ACCEPTED
            message = self._machine.sessions.next_message(session, cursor)
            return json_reply(bodies.message_body(message, session.scale_set)) if message else None

        reply = self._lock.wait(session.id, ready, self._store.timers.long_poll)
        if reply is None and session.mute:
            reply = self._lock.wait(session.id, ready, FOREVER)
        if session.poll != number:
            self._check_overtaken(request, session)
        return reply or ACCEPTED

    def _check_overtaken(self, request: Request, session: Session) -> None:
        """Record two polls at once, unless the client broke the earlier one off (docs/protocol.md § 5.1)."""
        if not hangs_up(request.connection) and not self._lock.closed:
            with self._lock:
                self._store.violations.record(7, f"two polls at once in session {session.id}")

    def _delete(self, request: Request, number: int) -> Reply:
        with self._lock:
            session = self._session(request)
            check_no_body(self._store, request)
            self._machine.message_queue.delete(session.scale_set, number)
        return NO_CONTENT

    def _session(self, request: Request) -> Session:
        check_user_agent(self._store, request)
        identity = request.query.get("sessionId", "")
        session = self._machine.sessions.live(identity)
        check_service_token(self._store, request, TokenKind.QUEUE, session.id)
        return session

    def _cursor(self, request: Request) -> int:
        text = request.query.get("lastMessageId", "0")
        if not DIGITS.fullmatch(text):
            self._store.violations.refuse(7, PlainRefusal(400, f"lastMessageId {text!r} is not a number"))
            return 0
        return int(text)

    def _capacity(self, request: Request) -> int:
        text = request.header("x-scalesetmaxcapacity")
        if not DIGITS.fullmatch(text):
            refusal = PlainRefusal(400, f"X-ScaleSetMaxCapacity {text!r} is not an integer >= 0")
            self._store.violations.refuse(6, refusal)
            return 0
        return int(text)


def hangs_up(connection: Connection) -> bool:
    """Whether the client has hung up, which may be noticed a moment late."""
    gone = threading.Event()
    connection.when_gone(gone.set)
    if not connection.gone():
        gone.wait(NOTICED_WITHIN)
    connection.when_gone(None)
    return connection.gone()
