"""The listener of one scale set: its registration at GitHub, its session, the long poll.

It blocks in calls; its parent cuts them with the interrupt and says why in the message that follows.
What it still owes GitHub (jobs to acquire, batches to acknowledge) it keeps until it is paid, so a
call that was cut or failed loses nothing. A batch is acknowledged only after the scale set has
handled it (docs/protocol.md § 5.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler.actors.base import SupervisedActor
from runscaler.actors.messages import (
    AnnounceCapacity,
    AskAgain,
    BatchHandled,
    BatchReceived,
    CloseSession,
    GoOn,
    ListenerMessage,
    ListenerStopped,
    ListenerTroubled,
    PolledInVain,
    Reconnect,
    Ref,
    ScaleSetFound,
    SecondOpinion,
    SessionOpened,
    StoodBy,
)
from runscaler.actors.registration import Registration
from runscaler.errors import (
    AccessDenied,
    GitHubError,
    Interrupted,
    NotFound,
    QueueTokenExpired,
    RateLimited,
    Refused,
    ScaleSetGone,
    ServerError,
    SessionConflict,
    SessionGone,
    Unreachable,
    Unreadable,
)
from runscaler.github.base import ScaleSetId, Session, Trouble
from runscaler.policy.backoff import Backoff
from runscaler.policy.cursor import Cursor

if TYPE_CHECKING:
    from runscaler.actors.house import House
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService
    from runscaler.github.messages import Batch, JobAvailable
    from runscaler.interrupt import Interrupt

STANDBY_SECONDS = 30.0
"""Between two tries at a session that another listener holds, plus up to half of it (docs/behaviour.md § 8.4)."""
DENIED_SECONDS = 60.0
"""Between two tries with a credential that GitHub refuses (docs/protocol.md § 3.3)."""
ACKNOWLEDGE_SECONDS = 5.0
UNREADABLE_POLLS = 3
"""In a row, after which the session is opened anew: what cannot be read has no id to acknowledge (F9)."""
_BACKOFF = Backoff(first=1.0, cap=60.0)


class ListenerActor(SupervisedActor[ListenerMessage]):
    """`interrupt` is its parent's to set; every message that goes with it clears it."""

    def __init__(
        self,
        name: str,
        parent: Ref,
        house: House,
        settings: ScaleSetSettings,
        service: ScaleSetService,
        interrupt: Interrupt,
        capacity: int,
    ) -> None:
        super().__init__(name, parent, house.clock)
        self._house, self._settings, self._service = house, settings, service
        self._interrupt = interrupt
        self._capacity = capacity
        self._registration = Registration(settings, service, interrupt, house.clock)
        self._session: Session | None = None
        self._cursor = Cursor()
        self._awaiting = False
        self._awaited: int | None = None
        self._unacknowledged: list[int] = []
        self._said_unacknowledged = False
        self._to_acquire: tuple[int, ...] = ()
        self._failures = self._unreadable = 0
        self._lost = 0
        """Sessions lost in a row, without one poll that came back."""
        self._turn = 0
        self._announced = False
        self._labels: tuple[str, ...] = ()
        self._held_session = False
        self._log = logger.bind(scale_set=settings.name)

    def started(self) -> None:
        self._go_on()

    def receive(self, message: ListenerMessage) -> None:
        match message:
            case GoOn(turn):
                if turn == self._turn:
                    self._take_turn()
            case BatchHandled(batch_id, acquire):
                self._handled(batch_id, acquire)
            case AnnounceCapacity(capacity):
                self._interrupt.clear()
                self._capacity = capacity
                self._go_on()
            case Reconnect():
                self._interrupt.clear()
                self._drop_session()
                self._go_on()
            case AskAgain():
                self._ask_again()
            case CloseSession(delete_scale_set):
                self._interrupt.clear()
                self._close(delete_scale_set)
            case _:
                assert_never(message)

    # -- one turn, and what its failure means ---------------------------------------------------

    def _go_on(self, seconds: float = 0.0) -> None:
        """Take the next turn after `seconds`; turns planned earlier are void."""
        self._turn += 1
        if seconds:
            self.after(seconds, GoOn(self._turn))
        else:
            self.again(GoOn(self._turn))

    def _take_turn(self) -> None:
        try:
            self._next_step()
        except Interrupted:
            return  # the message that says why is on its way
        except SessionConflict as error:
            self._stand_by(error)
        except (SessionGone, ScaleSetGone, QueueTokenExpired) as error:
            self._session_lost(error)
        except GitHubError as error:
            self._troubled(error)
        else:
            self._well()

    def _next_step(self) -> None:
        if self._session is None:
            self._session = self._connect()
        if not self._announced:
            self._announce(self._session)
        elif not self._awaiting:
            self._poll(self._session)

    def _session_lost(self, error: GitHubError) -> None:
        """A new one at once; the next only after a while, where not one poll came between (F26)."""
        self._drop_session()
        self._lost += 1
        wait = self.clock.jitter(1.0)
        if self._lost > 1:
            wait = _BACKOFF.delay(self._lost, self.clock.jitter(1.0))
            self.report(ListenerTroubled(Trouble.of(error, self.clock.monotonic() + wait)))
        else:
            self._log.warning("the message session is over ({}); opening a new one", error)
        self._go_on(wait)

    def _stand_by(self, error: SessionConflict) -> None:
        wait = STANDBY_SECONDS + self.clock.jitter(STANDBY_SECONDS / 2)
        self._drop_session()
        self._held_session = False  # the scale set is another's to delete
        reason = f"another listener holds it, to be taken over when it is free: {error}"
        self.report(StoodBy(reason, self.clock.monotonic() + wait))
        self._go_on(wait)

    def _troubled(self, error: GitHubError) -> None:
        if self._is_unreadable_for_good(error):
            self._session_lost(error)
            return
        self._failures += 1
        wait = self._patience(error)
        self.report(ListenerTroubled(Trouble.of(error, self.clock.monotonic() + wait)))
        self._go_on(wait)

    def _is_unreadable_for_good(self, error: GitHubError) -> bool:
        unread = self._session is not None and isinstance(error, Unreadable)
        self._unreadable = self._unreadable + 1 if unread else 0
        return self._unreadable >= UNREADABLE_POLLS

    def _patience(self, error: GitHubError) -> float:
        if isinstance(error, RateLimited):
            return error.retry_after
        if isinstance(error, AccessDenied | NotFound):
            return DENIED_SECONDS
        return _BACKOFF.delay(self._failures, self.clock.jitter(1.0))

    def _well(self) -> None:
        self._unreadable = 0
        if self._failures:
            self._failures = 0
            self.report(ListenerTroubled(None))

    # -- connecting -------------------------------------------------------------------------------

    def _connect(self) -> Session:
        kept = self._house.memory.load_session(self._settings.key)
        scale_set = self._registration.found(None if kept is None else kept[0])
        scale_set_id = ScaleSetId(scale_set.id)
        self.report(ScaleSetFound(scale_set_id))
        self._close_predecessor()
        session = self._service.open_session(scale_set_id, self._house.host_name, self._interrupt)
        self._house.memory.save_session(self._settings.key, scale_set_id, session.id)
        self._held_session, self._announced = True, False
        self._labels = self._registration.brought_in_line().labels
        self._cursor, self._unacknowledged, self._to_acquire = Cursor(), [], ()
        return session

    def _announce(self, session: Session) -> None:
        """Tell the scale set, with the offers of earlier sessions, which are not repeated."""
        offers = self._offers(session)
        self._announced = self._awaiting = True
        self._awaited = None
        self.report(SessionOpened(session.scale_set_id, session.statistics, offers, self._labels))

    def _close_predecessor(self) -> None:
        """Our last session, also from before a crash: it would answer 409 for minutes (docs/protocol.md § 4.5)."""
        kept = self._house.memory.load_session(self._settings.key)
        if kept is not None:
            self._service.close_session(*kept, self._interrupt)
            self._house.memory.clear_session(self._settings.key)

    def _offers(self, session: Session) -> tuple[JobAvailable, ...]:
        """Offers acknowledged in an earlier session are not repeated: ask for them (docs/protocol.md § 6)."""
        if session.statistics is None or session.statistics.available == 0:
            return ()
        return self._service.acquirable_jobs(session.scale_set_id, self._interrupt)

    def _drop_session(self) -> None:
        self._session = None
        self._awaiting = False
        self._unacknowledged, self._to_acquire = [], ()

    # -- polling ----------------------------------------------------------------------------------

    def _handled(self, batch_id: int | None, acquire: tuple[int, ...]) -> None:
        if self._session is None or not self._awaiting or batch_id != self._awaited:
            return  # the answer to a session that is over
        self._awaiting = False
        self._to_acquire = acquire
        if batch_id is not None:
            self._unacknowledged.append(batch_id)
        self._go_on()

    def _poll(self, session: Session) -> None:
        """Pay what is owed, then wait for one batch."""
        if self._registration.is_due():
            self._registration.check()
        if session.refresh_at is not None and self.clock.monotonic() >= session.refresh_at:
            self._refresh(session)
        try:
            batch = self._settled_poll()
        except QueueTokenExpired:
            self._refresh(session)
            batch = self._settled_poll()
        self._lost = 0
        if batch is None:
            self.report(PolledInVain())
            self._go_on()
            return
        self._cursor = self._cursor.follow(batch.id)
        self._awaiting, self._awaited = True, batch.id
        self.report(BatchReceived(batch.id, batch.statistics, batch.events, batch.problems))

    def _ask_again(self) -> None:
        if self._session is None:
            return
        try:
            self._refresh(self._session)
        except (GitHubError, Interrupted):
            return  # the next poll meets the same trouble, and says so
        self.report(SecondOpinion(self._session.statistics))

    def _refresh(self, session: Session) -> None:
        self._session = self._service.refresh_session(session, self._interrupt)

    def _settled_poll(self) -> Batch | None:
        assert self._session is not None
        self._settle(self._session)
        if self._cursor.begun_again:
            raise SessionGone("the ids of its messages have begun again")
        return self._service.poll(self._session, self._cursor.last, self._capacity, self._interrupt)

    def _settle(self, session: Session) -> None:
        """Acquire before acknowledging: a batch whose jobs could not be acquired comes again. Where one
        cannot be acknowledged, the others are not tried, either: a poll must not wait for each of them."""
        if self._to_acquire:
            self._service.acquire_jobs(session, self._to_acquire, self._interrupt)
            self._to_acquire = ()
        for batch_id in tuple(self._unacknowledged):
            if not self._acknowledged(session, batch_id):
                break

    def _acknowledged(self, session: Session, batch_id: int) -> bool:
        """Where it is not, polling goes on from behind it, and it is tried again, after the others
        (docs/protocol.md § 5.5)."""
        try:
            self._service.acknowledge(session, batch_id, self._interrupt, retry_for=ACKNOWLEDGE_SECONDS)
        except (ServerError, Unreachable, Refused) as error:
            self._unacknowledged.remove(batch_id)
            self._unacknowledged.append(batch_id)
            level = "DEBUG" if self._said_unacknowledged else "INFO"
            self._log.log(level, "batch {} cannot be acknowledged yet, trying again: {}", batch_id, error)
            self._said_unacknowledged = True
            return False
        self._unacknowledged.remove(batch_id)
        self._said_unacknowledged = False
        return True

    # -- ending -----------------------------------------------------------------------------------

    def _close(self, delete_scale_set: bool) -> None:
        self._turn += 1  # turns that were planned are void
        deleted = False
        try:
            deleted = self._closed(delete_scale_set)
        except GitHubError as error:
            self._log.warning("could not leave GitHub in order: {}; the next start puts it right", error)
        except Interrupted:
            self._log.warning("left GitHub in a hurry; the next start puts it right")
        self.end(ListenerStopped(deleted))

    def _settle_at_last(self, session: Session) -> None:
        """What cannot be acknowledged now comes again in the next session, which knows it."""
        try:
            self._settle(session)
        except GitHubError as error:
            self._log.warning("a batch is left unacknowledged: {}", error)

    def _closed(self, delete_scale_set: bool) -> bool:
        if self._session is not None:
            self._settle_at_last(self._session)
        self._close_predecessor()  # which is ours, if it came to that
        if not delete_scale_set or not self._held_session or self._registration.id is None:
            return False
        self._service.delete_scale_set(self._registration.id, self._interrupt)
        self._house.memory.clear_session(self._settings.key)  # a session that was lost is gone with it
        return True
