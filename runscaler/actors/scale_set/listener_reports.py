"""What the listener reports of the session with GitHub, and what it is told in return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from runscaler.actors import messages as m
from runscaler.actors.scale_set.job_metrics import count_batch
from runscaler.actors.scale_set.snapshot import Heard
from runscaler.metrics import own
from runscaler.metrics.words import MessageFailure, Repair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runscaler.actors.scale_set.anomaly_checks import AnomalyChecks
    from runscaler.actors.scale_set.child_actors import ChildActors
    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.ended_runners import EndedRunners
    from runscaler.actors.scale_set.job_tracking import JobTracking
    from runscaler.actors.scale_set.planning import Planning
    from runscaler.actors.scale_set.reconciliation import Reconciliation
    from runscaler.actors.scale_set.shutdown import Shutdown
    from runscaler.actors.scale_set.starts import Starts
    from runscaler.github.base import ScaleSetId
    from runscaler.github.messages import JobAvailable, Statistics


@dataclass(slots=True, eq=False)
class ListenerReports:
    """`takes_jobs`: whether the scale set wants any more. `poisonous`: the digests of batches whose handling
    has crashed it three times."""

    context: ScaleSetContext
    planning: Planning
    starts: Starts
    child_actors: ChildActors
    conditions: Conditions
    ended: EndedRunners
    checks: AnomalyChecks
    job_tracking: JobTracking
    reconciliation: Reconciliation
    shutdown: Shutdown
    takes_jobs: Callable[[], bool]
    poisonous: frozenset[str]
    heard: Heard = field(default_factory=Heard)
    polled_at: float | None = None
    """When the session was last known to be alive (monotonic)."""

    def hear(self, message: m.ListenerReport) -> None:
        match message:
            case m.ScaleSetFound(scale_set_id):
                self._found(scale_set_id)
            case m.SessionOpened():
                self._session_opened(message)
            case m.BatchReceived():
                self._batch_received(message)
            case m.NoMessageReceived():
                self.polled()
                self._look_for_offers(in_vain=True)
                self.context.changed()
            case m.OffersFound(offers):
                self.planning.forget_offers()  # these are all
                self._answer(None, offers)
            case m.StatisticsRefreshed(statistics):
                self._statistics_refreshed(statistics)
            case m.StandbyEntered(reason, retry_at):
                self.session_ended()
                self.conditions.standby_entered(reason, retry_at)
            case m.ListenerTroubled(trouble, has_session):
                self.heard.session = self.heard.session and has_session
                self.conditions.listener_troubled(trouble)
            case m.CallsTroubled(trouble):
                self.conditions.calls_troubled(trouble)
            case m.ListenerStopped():
                self.session_ended()
                self.shutdown.listener_stopped()
            case _:
                assert_never(message)

    def polled(self) -> None:
        """The session is alive."""
        self.heard.poll_at, self.polled_at = self.context.clock.wall(), self.context.clock.monotonic()

    def session_ended(self) -> None:
        self.heard.session = False

    def announce_capacity(self, capacity: int) -> None:
        """A poll in flight is broken off; a call that opens or closes a session is not."""
        order = m.AnnounceCapacity(capacity)
        if self._serves():
            self.child_actors.interrupt_listener(order)
            self._look_for_offers(in_vain=True)  # there may be room for some that were left
        else:
            self.child_actors.tell_listener(order)

    def look_for_anomalies(self) -> None:
        """Every 30 s."""
        if self._serves() and self.checks.look(self.polled_at):
            self.polled_at = self.context.clock.monotonic()
        self.refresh_old_counts()

    def refresh_old_counts(self) -> None:
        """Jobs are proved to be over, and no message may ever come with counts that say so (fault F87)."""
        if self.ended.counts_are_old and self._serves():
            self.checks.refresh_counts()

    def _serves(self) -> bool:
        return self.conditions.condition.is_serving and self.takes_jobs()

    def _found(self, scale_set_id: ScaleSetId) -> None:
        if self.context.scale_set_id not in (0, scale_set_id):
            self.conditions.scale_set_replaced()
        self.context.scale_set_id = scale_set_id

    def _session_opened(self, opened: m.SessionOpened) -> None:
        self.context.journal("session", statistics=opened.statistics, events=opened.offers)
        self._found(opened.scale_set_id)
        self.heard.session = True
        self.polled()
        self._count(opened.statistics)
        self.planning.forget_offers()
        self.conditions.session_opened()
        if self.conditions.condition.listed:
            self.reconciliation.remove_left_registrations()
        self._answer(None, opened.offers)

    def _batch_received(self, batch: m.BatchReceived) -> None:
        self.context.journal(
            "message",
            id=batch.batch_id,
            statistics=batch.statistics,
            events=batch.events,
            problems=batch.problems,
        )
        self.polled()
        self.heard.message_at = self.context.clock.wall()
        count_batch(self.context.metrics, batch, self.heard.message_at)
        self.checks.log_problems(batch.problems)
        self._count(batch.statistics)
        self.checks.compare_counts(batch.statistics, batch.events)
        events = () if self._is_set_aside(batch) else batch.events
        self._answer(batch.batch_id, self.job_tracking.apply(events))
        self.starts.jobs_told(events)
        self._look_for_offers(in_vain=False)
        self.context.changed()

    def _is_set_aside(self, batch: m.BatchReceived) -> bool:
        """A batch whose handling has crashed three scale set actors is not handled again; the statistics
        have to do (docs/behaviour.md § 8.4)."""
        is_poison = bool(self.poisonous) and batch.digest in self.poisonous
        self.conditions.batch_set_aside(is_poison)
        if not is_poison:
            return False
        context = self.context
        context.metrics.count(own.MESSAGE_FAILURES, MessageFailure.QUARANTINED)
        kept = context.actors.state_store.set_aside(context.key, batch.batch_id, repr(batch.events))
        where = f"kept in {kept}" if kept else "dropped"
        context.log.error("batch {} crashed the scale set three times: {}", batch.batch_id, where)
        return True

    def _statistics_refreshed(self, statistics: Statistics | None) -> None:
        self.checks.statistics_refreshed(statistics)
        self._note_counts(statistics)
        self.context.metrics.count(own.REPAIRS, Repair.STATISTICS_REFRESHED)
        self._look_for_offers(in_vain=False)
        self.context.changed()

    def _count(self, statistics: Statistics | None) -> None:
        """Take GitHub's counts, which include what was proved before."""
        self.planning.count(statistics)
        self._note_counts(statistics)

    def _note_counts(self, statistics: Statistics | None) -> None:
        self.checks.counted(statistics)
        if statistics is not None:
            self.heard.statistics_at = self.context.clock.wall()
            self.starts.counted(statistics)
            self.ended.counts_came()

    def _answer(self, batch_id: int | None, offers: Iterable[JobAvailable]) -> None:
        capacity = self.context.limits.max_runners
        acquire = self.planning.acquire(capacity, offers) if self.takes_jobs() else ()
        self.child_actors.tell_listener(m.BatchHandled(batch_id, acquire))

    def _look_for_offers(self, *, in_vain: bool) -> None:
        capacity = self.context.limits.max_runners
        if self.takes_jobs() and self.planning.misses_offers(capacity, in_vain=in_vain):
            self.child_actors.tell_listener(m.FindOffers())
