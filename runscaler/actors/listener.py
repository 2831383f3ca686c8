"""The listener of one scale set: its registration at GitHub, its message session and the long poll.

The listener blocks in calls to GitHub. Its parent cuts a call with the interrupt and sends the message that
says why. Jobs still to be acquired and batches still to be acknowledged are remembered until that has
succeeded, so a call that fails or is cut loses nothing. A batch is acknowledged only after the scale set has
handled it (docs/protocol.md § 5.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.actors.place import place_of
from runscaler.actors.registration import Registration
from runscaler.errors import (
    AccessDenied,
    GitHubError,
    Interrupted,
    MalformedReply,
    NotFound,
    QueueTokenExpired,
    RateLimited,
    Refused,
    ScaleSetGone,
    ServerError,
    SessionConflict,
    SessionGone,
    Unreachable,
)
from runscaler.github.base import ScaleSetId, Session, Trouble
from runscaler.metrics.own import MESSAGE_HANDLE, SESSION_OPENS
from runscaler.metrics.words import SessionResult
from runscaler.policy.backoff import Backoff
from runscaler.policy.cursor import Cursor

if TYPE_CHECKING:
    from runscaler.actors.context import ActorContext
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService
    from runscaler.github.messages import Batch, JobAvailable
    from runscaler.interrupt import Interrupt

STANDBY_SECONDS = 30.0
"""Between two attempts to open a session that another listener holds, plus up to half of it at random
(docs/behaviour.md § 8.4)."""
DENIED_SECONDS = 60.0
"""Between two attempts with a credential that GitHub refuses (docs/protocol.md § 3.3)."""
ACKNOWLEDGE_SECONDS = 5.0
"""How long one acknowledgement is retried before the next poll goes ahead without it."""
MALFORMED_POLLS = 3
"""Malformed replies in a row after which a new session is opened: without a message id there is nothing to
acknowledge, so the same message would come for ever (fault F9)."""
_BACKOFF = Backoff(first=1.0, cap=60.0)


class ListenerActor(SupervisedActor[m.ListenerMessage]):
    """It works in turns: each connects, announces the session or polls once, and schedules the next.

    `interrupt` is set by the parent; receiving the message that goes with it clears it.
    """

    def __init__(
        self,
        name: str,
        parent: m.Ref,
        context: ActorContext,
        settings: ScaleSetSettings,
        service: ScaleSetService,
        interrupt: Interrupt,
        capacity: int,
        takes_jobs: bool = True,
        retired: bool = False,
    ) -> None:
        super().__init__(name, parent, context.clock)
        self._settings, self._service, self._interrupt = settings, service, interrupt
        self._state_store, self._host_name = context.state_store, context.host_name
        self._all_metrics = context.metrics
        self._metrics = context.metrics.of(settings.key, settings.url)
        self._received_at = 0.0
        """When the latest batch came (monotonic)."""
        self._capacity, self._takes_jobs, self._retired = capacity, takes_jobs, retired
        self._registration = Registration(settings, service, interrupt, context.clock)
        self._turn = 0
        """The number of the latest turn that was scheduled; earlier ones are void."""
        self._turn_is_due = False
        """Whether that one has yet to begin."""
        self._session: Session | None = None
        self._announced = False
        """Whether the scale set was told of the session."""
        self._had_session = False
        """Whether the last attempt to open a session succeeded: then the scale set is ours to delete."""
        self._cursor = Cursor()
        self._awaiting_answer = False
        """Whether the scale set has yet to answer with `BatchHandled`: nothing is polled meanwhile."""
        self._awaited_batch: int | None = None
        self._to_acquire: tuple[int, ...] = ()
        self._unacknowledged: list[int] = []
        self._logged_unacknowledged = False
        self._failures = 0
        """Turns in a row that failed."""
        self._malformed = 0
        """Polls in a row whose reply could not be read."""
        self._lost_sessions = 0
        """Sessions lost in a row without a single poll that returned."""
        self._log = logger.bind(**place_of(settings))

    def started(self) -> None:
        self._schedule_turn()

    def receive(self, message: m.ListenerMessage) -> None:
        match message:
            case m.TakeTurn(turn):
                if turn == self._turn and self._takes_jobs:
                    self._turn_is_due = False
                    self._take_turn()
            case m.BatchHandled(batch_id, acquire):
                self._batch_handled(batch_id, acquire)
            case m.AnnounceCapacity(capacity):
                self._interrupt.clear()
                self._capacity = capacity
                if not self._turn_is_due:  # a wait that GitHub asked for is not cut short
                    self._schedule_turn()
            case m.FindOffers():
                self._find_offers()
            case m.LeaveSession():
                self._interrupt.clear()
                self._leave_session()
            case m.EnterSession():
                self._interrupt.clear()
                self._takes_jobs = True
                self._schedule_turn()
            case m.Reconnect():
                self._interrupt.clear()
                self._drop_session()
                self._schedule_turn()
            case m.RefreshStatistics():
                self._refresh_statistics()
            case m.UseSettings(settings, service):
                self._interrupt.clear()
                self._use(settings, service)
            case m.CloseSession(delete_scale_set):
                self._interrupt.clear()
                self._close(delete_scale_set)
            case _:
                assert_never(message)

    # -- turns and their failures -------------------------------------------------------------------

    def _schedule_turn(self, seconds: float = 0.0) -> None:
        """Take the next turn in `seconds`, in place of any scheduled earlier."""
        self._turn += 1
        self._turn_is_due = True
        if seconds:
            self.after(seconds, m.TakeTurn(self._turn))
        else:
            self.send_self(m.TakeTurn(self._turn))

    def _take_turn(self) -> None:
        try:
            self._next_step()
        except Interrupted:
            return  # the message that says why follows
        except SessionConflict as error:
            self._stand_by(error)
        except (SessionGone, ScaleSetGone, QueueTokenExpired) as error:
            self._session_lost(error)
        except GitHubError as error:
            self._turn_failed(error)
        else:
            self._turn_succeeded()

    def _next_step(self) -> None:
        if self._session is None:
            self._session = self._connect()
        if not self._announced:
            self._announce(self._session)
        elif not self._awaiting_answer:
            self._poll(self._session)

    def _session_lost(self, error: GitHubError) -> None:
        """Open a new session at once; back off if that one is lost too before a poll returned (fault F26)."""
        self._drop_session()
        self._lost_sessions += 1
        wait = self.clock.jitter(1.0)
        if self._lost_sessions > 1:
            wait = _BACKOFF.delay(self._lost_sessions, self.clock.jitter(1.0))
            self._report_trouble(error, wait)
        else:
            self._log.warning("the message session is over ({}); opening a new one", error)
        self._schedule_turn(wait)

    def _stand_by(self, error: SessionConflict) -> None:
        wait = STANDBY_SECONDS + self.clock.jitter(STANDBY_SECONDS / 2)
        self._drop_session()
        self._had_session = False
        reason = f"another listener holds it, to be taken over when it is free: {error}"
        self.report(m.StandbyEntered(reason, self.clock.monotonic() + wait))
        self._schedule_turn(wait)

    def _turn_failed(self, error: GitHubError) -> None:
        malformed = self._session is not None and isinstance(error, MalformedReply)
        self._malformed = self._malformed + 1 if malformed else 0
        if self._malformed >= MALFORMED_POLLS:
            self._session_lost(error)
            return
        self._failures += 1
        wait = self._retry_delay(error)
        self._report_trouble(error, wait)
        self._schedule_turn(wait)

    def _retry_delay(self, error: GitHubError) -> float:
        if isinstance(error, RateLimited):
            return error.retry_after
        if isinstance(error, AccessDenied | NotFound):
            return DENIED_SECONDS
        return _BACKOFF.delay(self._failures, self.clock.jitter(1.0))

    def _report_trouble(self, error: GitHubError, wait: float) -> None:
        trouble = Trouble.of(error, self.clock.monotonic() + wait)
        self.report(m.ListenerTroubled(trouble, has_session=self._session is not None))

    def _turn_succeeded(self) -> None:
        self._malformed = 0
        if self._failures:
            self._failures = 0
            self.report(m.ListenerTroubled(None))

    def _use(self, settings: ScaleSetSettings, service: ScaleSetService) -> None:
        """The scale set at GitHub is made as configured at the next poll. The session goes on."""
        self._settings, self._service = settings, service
        self._registration.use(settings, service)
        self._schedule_turn()

    # -- connecting ---------------------------------------------------------------------------------

    def _connect(self) -> Session:
        key = self._settings.key
        saved = self._state_store.load_session(key)
        known = self._state_store.created_scale_set(key) if saved is None else saved[0]
        scale_set_id = ScaleSetId(self._registration.find(known).id)
        self._record_creation(scale_set_id)
        self.report(m.ScaleSetFound(scale_set_id))
        self._close_saved_session()
        session = self._open_session(scale_set_id)
        self._state_store.save_session(key, scale_set_id, session.id)
        self._had_session, self._announced = True, False
        self._registration.apply_settings()
        self._cursor, self._unacknowledged, self._to_acquire = Cursor(), [], ()
        return session

    def _open_session(self, scale_set_id: ScaleSetId) -> Session:
        try:
            session = self._service.open_session(scale_set_id, self._host_name, self._interrupt)
        except GitHubError as error:
            conflict = isinstance(error, SessionConflict)
            self._metrics.count(SESSION_OPENS, SessionResult.CONFLICT if conflict else SessionResult.ERROR)
            raise
        self._metrics.count(SESSION_OPENS, SessionResult.OPENED)
        return session

    def _record_creation(self, scale_set_id: ScaleSetId) -> None:
        """One that this daemon created is deleted when it is not configured any more."""
        key = self._settings.key
        if scale_set_id == self._registration.created_id:
            self._state_store.save_created(key, scale_set_id)
        elif self._state_store.created_scale_set(key) not in (None, scale_set_id):
            self._state_store.clear_created(key)  # somebody deleted it, and another one has its name

    def _close_saved_session(self) -> None:
        """Close the last session of ours, perhaps of an earlier process.

        While it is open, GitHub answers 409 to a new one, for minutes (docs/protocol.md § 4.5).
        """
        saved = self._state_store.load_session(self._settings.key)
        if saved is not None:
            self._service.close_session(*saved, self._interrupt)
            self._state_store.clear_session(self._settings.key)

    def _announce(self, session: Session) -> None:
        offers = self._offers(session)
        self._announced = self._awaiting_answer = True
        self._awaited_batch = None
        self.report(m.SessionOpened(session.scale_set_id, session.statistics, offers))

    def _offers(self, session: Session) -> tuple[JobAvailable, ...]:
        """Jobs offered in earlier sessions: they are listed, but not offered again (docs/protocol.md § 6)."""
        if session.statistics is None or session.statistics.available == 0:
            return ()
        return self._service.acquirable_jobs(session.scale_set_id, self._interrupt)

    def _drop_session(self) -> None:
        self._session = None
        self._awaiting_answer = False

    # -- polling ------------------------------------------------------------------------------------

    def _poll(self, session: Session) -> None:
        self._registration.warn_of_rename()
        if self._registration.is_check_due():
            self._registration.check()
        if session.refresh_at is not None and self.clock.monotonic() >= session.refresh_at:
            self._refresh(session)
        try:
            batch = self._acknowledge_and_poll()
        except QueueTokenExpired:
            self._refresh(session)
            batch = self._acknowledge_and_poll()
        self._lost_sessions = 0
        if batch is None:
            self.report(m.NoMessageReceived())
            self._schedule_turn()
            return
        self._cursor = self._cursor.follow(batch.id)
        self._awaiting_answer, self._awaited_batch = True, batch.id
        self._received_at = self.clock.monotonic()
        self.report(m.BatchReceived(batch.id, batch.statistics, batch.events, batch.problems))

    def _acknowledge_and_poll(self) -> Batch | None:
        assert self._session is not None
        self._acquire_and_acknowledge(self._session)
        if self._cursor.restarted:
            raise SessionGone("its message ids have started over")
        return self._service.poll(self._session, self._cursor.last, self._capacity, self._interrupt)

    def _refresh(self, session: Session) -> None:
        """A refreshed session brings fresh counts, too."""
        self._session = self._service.refresh_session(session, self._interrupt)
        self.report(m.StatisticsRefreshed(self._session.statistics))

    def _refresh_statistics(self) -> None:
        if self._session is None:
            return
        try:
            self._refresh(self._session)
        except (GitHubError, Interrupted):
            return  # the next poll fails in the same way and reports it

    def _find_offers(self) -> None:
        """Nothing is polled until the scale set has said which of them to acquire."""
        if self._session is None or not self._announced or self._awaiting_answer:
            return
        try:
            offers = self._service.acquirable_jobs(self._session.scale_set_id, self._interrupt)
        except (GitHubError, Interrupted):
            return  # the next poll fails in the same way and reports it
        self._awaiting_answer, self._awaited_batch = True, None
        self.report(m.OffersFound(offers))

    def _batch_handled(self, batch_id: int | None, acquire: tuple[int, ...]) -> None:
        if self._session is None or not self._awaiting_answer or batch_id != self._awaited_batch:
            return  # the answer belongs to an earlier session
        self._awaiting_answer = False
        self._to_acquire = acquire
        if batch_id is not None:
            self._unacknowledged.append(batch_id)
            self._all_metrics.observe(MESSAGE_HANDLE, self.clock.monotonic() - self._received_at)
        if self._takes_jobs:
            self._schedule_turn()
        else:
            self._close_session()

    def _acquire_and_acknowledge(self, session: Session) -> None:
        """In this order: a batch that is not acknowledged comes again, and with it the jobs to acquire.

        After one acknowledgement that fails the others are not tried, as the poll must not wait for each.
        """
        if self._to_acquire:
            self._service.acquire_jobs(session, self._to_acquire, self._interrupt)
            self._to_acquire = ()
        for batch_id in tuple(self._unacknowledged):
            if not self._acknowledge(session, batch_id):
                break

    def _acknowledge(self, session: Session, batch_id: int) -> bool:
        """Whether it succeeded. If not, the batch is tried again, after the others; polls go on from behind
        it (docs/protocol.md § 5.5)."""
        try:
            self._service.acknowledge(session, batch_id, self._interrupt, retry_for=ACKNOWLEDGE_SECONDS)
        except (ServerError, Unreachable, Refused) as error:
            self._unacknowledged.remove(batch_id)
            self._unacknowledged.append(batch_id)
            level = "DEBUG" if self._logged_unacknowledged else "INFO"
            self._log.log(level, "batch {} cannot be acknowledged yet, trying again: {}", batch_id, error)
            self._logged_unacknowledged = True
            return False
        self._unacknowledged.remove(batch_id)
        self._logged_unacknowledged = False
        return True

    def _leave_session(self) -> None:
        """No new jobs: what is queued waits at GitHub for whoever opens the next session.

        A capacity of 0 would not do: what is queued against it may never be offered to the scale set again
        (docs/protocol.md § 5.1).
        """
        self._takes_jobs = False
        self._turn += 1  # voids the turn that is scheduled
        if not self._awaiting_answer:
            self._close_session()

    def _close_session(self) -> None:
        """With nothing left that was delivered and not acknowledged, where that is possible."""
        try:
            if self._session is not None:
                self._acknowledge_before_stop(self._session)
            self._close_saved_session()
        except GitHubError as error:
            self._log.warning("could not close the session yet: {}; trying again at the end", error)
        except Interrupted:
            return  # the message that says why follows
        self._drop_session()

    # -- stopping -----------------------------------------------------------------------------------

    def _close(self, delete_scale_set: bool) -> None:
        self._turn += 1  # voids the turn that is scheduled
        deleted = False
        try:
            deleted = self._leave_github(delete_scale_set)
        except GitHubError as error:
            self._log.warning("could not close the session in order: {}; the next start does", error)
        except Interrupted:
            self._log.warning("had no time to close the session in order; the next start does")
        self.end(m.ListenerStopped(deleted))

    def _leave_github(self, delete_scale_set: bool) -> bool:
        """Close the session and, if told to, delete the scale set; returns whether it is deleted."""
        if self._session is not None:
            self._acknowledge_before_stop(self._session)
        saved = self._state_store.load_session(self._settings.key)
        self._close_saved_session()
        if not delete_scale_set:
            return False
        scale_set_id = saved[0] if saved is not None else self._known_to_be_ours()
        if scale_set_id is None or (saved is None and self._is_held_by_another(scale_set_id)):
            return False
        self._service.delete_scale_set(scale_set_id, self._interrupt)
        self._state_store.clear_created(self._settings.key)
        return True

    def _known_to_be_ours(self) -> ScaleSetId | None:
        """The id of the scale set, if its session was ours; if it is not configured any more, if this daemon
        created it."""
        if self._retired:
            return self._state_store.created_scale_set(self._settings.key)
        return self._registration.id if self._had_session else None

    def _is_held_by_another(self, scale_set_id: ScaleSetId) -> bool:
        """Does another listener serve it since our session was closed? Then no session can be opened."""
        try:
            session = self._service.open_session(scale_set_id, self._host_name, self._interrupt)
            self._service.close_session(scale_set_id, session.id, self._interrupt)
        except ScaleSetGone:
            return False
        except SessionConflict as error:
            self._log.info("the scale set stays, as another listener serves it now: {}", error)
            return True
        return False

    def _acknowledge_before_stop(self, session: Session) -> None:
        """A batch that cannot be acknowledged comes again in the next session, where it changes nothing."""
        try:
            self._acquire_and_acknowledge(session)
        except GitHubError as error:
            self._log.warning("a batch is left unacknowledged: {}", error)
