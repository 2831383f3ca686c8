"""Message sessions (docs/protocol.md § 4.5, 9.3): a scale set has at most one live one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.records import Session, SessionState
from runscaler.simulator.refusals import ServiceRefusal, session_unknown
from runscaler.simulator.tokens import TokenKind

if TYPE_CHECKING:
    from runscaler.simulator.dispatch import Dispatch
    from runscaler.simulator.message_queue import MessageQueue
    from runscaler.simulator.records import Message, ScaleSet
    from runscaler.simulator.store import Store


class Sessions:
    def __init__(self, store: Store, message_queue: MessageQueue, dispatch: Dispatch) -> None:
        self._store = store
        self._message_queue = message_queue
        self._dispatch = dispatch

    def create(self, scale_set: ScaleSet, owner: str) -> Session:
        held = scale_set.session
        if held is not None:
            name = scale_set.name
            text = f"The actions runner scaleset {name} already has an active session for owner {held.owner}."
            raise ServiceRefusal(409, "RunnerScaleSetSessionConflictException", text)
        session = Session(self._store.uuid(), scale_set, owner, seen=self._store.clock.monotonic())
        self._store.sessions[session.id] = session
        scale_set.session = session
        scale_set.capacity, scale_set.announced = 0, False
        self._issue_token(session)
        self._schedule_check(session)
        self._store.note("session", session=session.id, scaleSet=scale_set.id, state="live")
        return session

    def refresh(self, scale_set: ScaleSet, identity: str) -> Session:
        session = self._store.sessions.get(identity)
        if session is None or session.scale_set is not scale_set or not session.live:
            self._used_after_end(session, "refreshed")
            raise session_unknown(identity)
        session.seen = self._store.clock.monotonic()
        self._issue_token(session)
        return session

    def delete(self, scale_set: ScaleSet, identity: str) -> None:
        session = self._store.sessions.get(identity)
        if session is None or session.scale_set is not scale_set or not session.live:
            text = f"The session {identity} has expired."
            raise ServiceRefusal(400, "RunnerScaleSetSessionExpiredException", text)
        session.by_client = True
        self.end(session, SessionState.DELETED)

    def end(self, session: Session, state: SessionState) -> None:
        """End the session; an open poll of it is answered at once."""
        if not session.live:
            return
        session.state = state
        session.ended_at = self._store.clock.monotonic()
        session.scale_set.session = None
        session.scale_set.last_session_at = session.ended_at
        self._store.woken.add(session.id)
        self._store.note("session", session=session.id, scaleSet=session.scale_set.id, state=state.value)

    def live(self, identity: str) -> Session:
        """The live session of that id, for a call to its queue."""
        session = self._store.sessions.get(identity)
        if session is None or not session.live:
            self._used_after_end(session, "used")
            raise session_unknown(identity)
        return session

    def poll_begins(self, session: Session, cursor: int, capacity: int) -> int:
        """Register a poll; returns its number, which tells it from later ones."""
        self._check_cursor(session, cursor)
        session.poll += 1
        session.open_polls += 1
        self._store.note("poll", session=session.id, lastMessageId=cursor)
        session.seen = self._store.clock.monotonic()
        self._store.woken.add(session.id)
        self._announce(session.scale_set, capacity)
        return session.poll

    def next_message(self, session: Session, cursor: int) -> Message | None:
        """The message for an open poll, None while there is none."""
        if not session.live:
            raise session_unknown(session.id)
        return None if session.mute else self._message_queue.next(session.scale_set, cursor)

    def poll_ends(self, session: Session) -> None:
        session.open_polls -= 1
        session.seen = self._store.clock.monotonic()

    def expire_token(self, session: Session) -> None:
        self._store.tokens.expire(TokenKind.QUEUE, session.id)

    def _check_cursor(self, session: Session, cursor: int) -> None:
        if cursor < session.cursor:
            text = f"lastMessageId went from {session.cursor} back to {cursor} in session {session.id}"
            self._store.violations.record(7, text)
        session.cursor = max(session.cursor, cursor)

    def _announce(self, scale_set: ScaleSet, capacity: int) -> None:
        if capacity != scale_set.capacity or not scale_set.announced:
            self._store.note("capacity", scaleSet=scale_set.id, capacity=capacity)
        grown = capacity > scale_set.capacity
        scale_set.capacity, scale_set.announced = capacity, True
        if grown:
            self._dispatch.fill(scale_set)

    def _issue_token(self, session: Session) -> None:
        lifetime = self._store.timers.queue_token
        session.token = self._store.tokens.issue(TokenKind.QUEUE, session.id, lifetime).text

    def _schedule_check(self, session: Session) -> None:
        left = session.seen + self._store.timers.session - self._store.clock.monotonic()
        self._store.deadlines.after(left, lambda: self._check(session))

    def _check(self, session: Session) -> None:
        now = self._store.clock.monotonic()
        if not session.live:
            return
        if session.open_polls:
            session.seen = now
        if session.seen + self._store.timers.session > now:
            self._schedule_check(session)
        else:
            self.end(session, SessionState.EXPIRED)

    def _used_after_end(self, session: Session | None, how: str) -> None:
        if session is not None and self._store.is_misuse(session):
            self._store.violations.record(9, f"session {session.id} was {how} after its end")
