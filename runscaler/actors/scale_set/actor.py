"""The actor of one scale set: dispatches each message to the part that answers it. It never blocks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.actors.scale_set.anomaly_checks import AnomalyChecks
from runscaler.actors.scale_set.child_actors import ChildActors
from runscaler.actors.scale_set.claims import Claims
from runscaler.actors.scale_set.conditions import Conditions
from runscaler.actors.scale_set.context import ScaleSetContext
from runscaler.actors.scale_set.ended_runners import EndedRunners
from runscaler.actors.scale_set.job_metrics import count_batch
from runscaler.actors.scale_set.job_tracking import JobTracking
from runscaler.actors.scale_set.leftovers import Leftovers
from runscaler.actors.scale_set.limits import LimitsInForce
from runscaler.actors.scale_set.manual_drain import ManualDrain
from runscaler.actors.scale_set.planning import Planning
from runscaler.actors.scale_set.reconciliation import Reconciliation
from runscaler.actors.scale_set.runners import Runners
from runscaler.actors.scale_set.settings import SettingsInForce
from runscaler.actors.scale_set.shutdown import Phase, Shutdown
from runscaler.actors.scale_set.slots import SlotBook
from runscaler.actors.scale_set.snapshot import Heard, snapshot
from runscaler.actors.scale_set.starts import Starts
from runscaler.backends.base import PlacedBackend
from runscaler.metrics import own
from runscaler.metrics.words import MessageFailure, Repair, Retirement
from runscaler.policy.ended_runners import Evidence
from runscaler.policy.lifecycle import SlotEvent
from runscaler.status import Counters, SetState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.context import ActorContext
    from runscaler.actors.scale_set.child_actors import Child
    from runscaler.backends.base import Backend
    from runscaler.config.changes import SetChange
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetId, ScaleSetService, Trouble
    from runscaler.github.messages import JobAvailable, Statistics
    from runscaler.names import SlotNumber

RECONCILE_SECONDS = 30.0
PUBLISH_SECONDS, PUBLISH_SLOTS = 0.05, 200
"""Snapshots of so many slots are taken at most this often, and of more slots the more seldom: at a
thousand slots one costs a millisecond."""


@dataclass(frozen=True, slots=True)
class ScaleSetWiring:
    """What a scale set actor is made with beside its settings.

    A peer that is down is None: `PeerReplaced` brings the new one. `restarts` counts the actor's own;
    `counters` go on from where its predecessor was.
    """

    parent: m.Ref
    keeper: m.Ref | None
    host: m.Ref | None
    health: m.Ref | None
    backend: Backend
    restarts: int = 0
    counters: Counters = field(default_factory=Counters)
    poisonous: frozenset[str] = frozenset()
    """Digests of batches whose handling has crashed this scale set three times."""
    drained: bool = False
    """It was drained by hand before it was restarted."""
    stop: m.StopScaleSet | None = None
    """It is to end once its runners have: it is not configured any more, or moves to another backend."""


class ScaleSetActor(SupervisedActor[m.ScaleSetMessage]):
    def __init__(self, actors: ActorContext, settings: ScaleSetSettings, wiring: ScaleSetWiring) -> None:
        super().__init__(f"scale-set {settings.name}", wiring.parent, actors.clock)
        self._keeper, self._health = wiring.keeper, wiring.health
        self._poisonous, self._restarts = wiring.poisonous, wiring.restarts
        self._ordered_stop, self._begins_drained = wiring.stop, wiring.drained
        self._retired = wiring.stop is not None
        self._last_poll: float | None = None
        self._polled_at: float | None = None
        self._heard = Heard()
        self._publish_due = self._plan_queued = False
        context = self._context = ScaleSetContext(
            actors, settings, self.actor_ref, self.send, self.after, self._changed, wiring.counters
        )
        service = self._connect(settings)
        has_vm_slots = isinstance(wiring.backend, PlacedBackend)
        book = self._book = SlotBook(context.limits.max_runners, self.clock, self._set_slot_timer)
        self._starts = Starts(context, book)
        child_actors = self._child_actors = ChildActors(context, self.children, service, wiring.backend)
        conditions = self._conditions = Conditions(context, lambda: child_actors.service.clock_skew())
        self._limits = LimitsInForce(context, book, conditions, self._announce_capacity)
        claims = self._claims = Claims(context, book, wiring.host, wiring.keeper, has_vm_slots=has_vm_slots)
        ended = self._ended = EndedRunners(context, book, child_actors, conditions, self._version_refused)
        leftovers = self._leftovers = Leftovers(conditions)
        runners = self._runners = Runners(context, book, child_actors, claims, conditions, ended, leftovers)
        planning = self._planning = Planning(context, book, runners, ended, conditions)
        checks = self._checks = AnomalyChecks(context, book, runners, planning, child_actors, conditions)
        self._job_tracking = JobTracking(context, book, runners, ended, conditions, checks)
        self._reconciliation = Reconciliation(context, book, runners, child_actors, claims, leftovers)
        self._shutdown = Shutdown(context, book, runners, child_actors, conditions, self._stopped)
        self._drain = ManualDrain(runners, child_actors, claims, conditions)
        self._settings = SettingsInForce(
            context, book, child_actors, self._reconciliation, self._connect, self._tell_keeper
        )

    def started(self) -> None:
        if self._ordered_stop is not None:
            created = self._context.actors.state_store.created_scale_set(self._context.key)
            self._context.scale_set_id = created or self._context.scale_set_id
            self.send_self(self._ordered_stop)
        if self._begins_drained:
            self._drain.begin()
        self._join_keeper()
        self._limits.started()
        self._child_actors.start_listener(self._takes_jobs, retired=self._retired)
        self.after(RECONCILE_SECONDS, m.Reconcile())
        self._publish_soon()

    def receive(self, message: m.ScaleSetMessage) -> None:
        self._dispatch(message)
        if self._planning.due and not self.has_waiting():
            self._make_plan()
        if self._planning.due:
            self._plan_later()

    def _dispatch(self, message: m.ScaleSetMessage) -> None:
        if isinstance(message, m.ListenerReport):
            self._hear_listener(message)
        elif isinstance(message, m.RunnerReport):
            self._hear_runner(message)
        elif isinstance(message, m.KeeperReport):
            self._hear_keeper(message)
        elif isinstance(message, m.OwnDeadline):
            self._deadline_reached(message)
        elif isinstance(message, m.ChildCrashed):
            self._child_crashed(self._child_actors.crashed(message))
        elif isinstance(message, m.PeerReplaced):
            self._peer_replaced(message)
        elif isinstance(message, m.DrainScaleSet | m.ResumeScaleSet):
            self._drain_or_resume(message)
        elif isinstance(message, m.ChangeSettings):
            self._change_settings(message.change)
        elif isinstance(message, m.HostLimitsChanged):
            self._claims.host_limits_changed(is_listed=self._conditions.condition.listed)
        elif isinstance(message, m.StopScaleSet):
            self._conditions.draining(message.reason)
            self._claims.stop_warming(keep=message.keep)
            self._shutdown.begin(message)
        else:
            assert_never(message)

    def describe(self, message: m.ScaleSetMessage) -> str:
        if isinstance(message, m.BatchReceived):
            return f"{m.BATCH} {message.digest}"
        return super().describe(message)

    def _changed(self) -> None:
        """The view is not what it was: a plan and a snapshot are due."""
        self._planning.due = True
        self._publish_soon()

    def _drain_or_resume(self, order: m.DrainScaleSet | m.ResumeScaleSet) -> None:
        if self._shutdown.begun:
            return
        if isinstance(order, m.DrainScaleSet):
            self._heard.session = False
            self._drain.begin()
        else:
            self._drain.end()
            self._polled()
        self._changed()

    def _change_settings(self, change: SetChange) -> None:
        if self._shutdown.begun:
            return
        self._settings.change(change)
        self._limits.changed()

    def _connect(self, settings: ScaleSetSettings) -> ScaleSetService:
        return self._context.actors.connect(settings, self._hear_trouble)

    # -- planning ---------------------------------------------------------------------------------------

    def _make_plan(self) -> None:
        self._limits.look()
        self._planning.make(stopping=self._shutdown.begun, draining=self._drain.active)
        if self._shutdown.begun:
            self._shutdown.check()

    def _plan_later(self) -> None:
        if not self._plan_queued:
            self._plan_queued = True
            self.send_self(m.MakePlan())

    # -- the listener's reports -------------------------------------------------------------------------

    def _hear_trouble(self, trouble: Trouble | None) -> None:
        """From the service, on whatever thread its call runs."""
        self.send(self.actor_ref, m.CallsTroubled(trouble))

    def _hear_listener(self, message: m.ListenerReport) -> None:
        match message:
            case m.ScaleSetFound(scale_set_id):
                self._found(scale_set_id)
            case m.SessionOpened():
                self._session_opened(message)
            case m.BatchReceived():
                self._batch_received(message)
            case m.NoMessageReceived():
                self._polled()
                self._look_for_offers(in_vain=True)
                self._changed()
            case m.OffersFound(offers):
                self._planning.forget_offers()  # these are all
                self._answer(None, offers)
            case m.StatisticsRefreshed(statistics):
                self._statistics_refreshed(statistics)
            case m.StandbyEntered(reason, retry_at):
                self._heard.session = False
                self._conditions.standby_entered(reason, retry_at)
            case m.ListenerTroubled(trouble, has_session):
                self._heard.session = self._heard.session and has_session
                self._conditions.listener_troubled(trouble)
            case m.CallsTroubled(trouble):
                self._conditions.calls_troubled(trouble)
            case m.ListenerStopped():
                self._heard.session = False
                self._shutdown.listener_stopped()
            case _:
                assert_never(message)

    def _found(self, scale_set_id: ScaleSetId) -> None:
        if self._context.scale_set_id not in (0, scale_set_id):
            self._conditions.scale_set_replaced()
        self._context.scale_set_id = scale_set_id

    def _session_opened(self, opened: m.SessionOpened) -> None:
        self._context.journal("session", statistics=opened.statistics, events=opened.offers)
        self._found(opened.scale_set_id)
        self._heard.session = True
        self._polled()
        self._count(opened.statistics)
        self._planning.forget_offers()
        self._conditions.session_opened()
        if self._conditions.condition.listed:
            self._reconciliation.remove_left_registrations()
        self._answer(None, opened.offers)

    def _batch_received(self, batch: m.BatchReceived) -> None:
        self._context.journal(
            "message",
            id=batch.batch_id,
            statistics=batch.statistics,
            events=batch.events,
            problems=batch.problems,
        )
        self._polled()
        self._heard.message_at = self.clock.wall()
        count_batch(self._context.metrics, batch, self.clock.wall())
        self._checks.log_problems(batch.problems)
        self._count(batch.statistics)
        self._checks.compare_counts(batch.statistics, batch.events)
        events = () if self._is_set_aside(batch) else batch.events
        self._answer(batch.batch_id, self._job_tracking.apply(events))
        self._starts.jobs_told(events)
        self._look_for_offers(in_vain=False)
        self._changed()

    def _statistics_refreshed(self, statistics: Statistics | None) -> None:
        self._checks.statistics_refreshed(statistics)
        self._checks.counted(statistics)
        self._note_counts(statistics)
        self._context.metrics.count(own.REPAIRS, Repair.STATISTICS_REFRESHED)
        if statistics is not None:
            self._ended.counts_came()
        self._look_for_offers(in_vain=False)
        self._changed()

    def _count(self, statistics: Statistics | None) -> None:
        """Take GitHub's counts, which include what was proved before."""
        self._planning.count(statistics)
        self._checks.counted(statistics)
        self._note_counts(statistics)
        if statistics is not None:
            self._ended.counts_came()

    def _note_counts(self, statistics: Statistics | None) -> None:
        if statistics is not None:
            self._heard.statistics_at = self.clock.wall()
            self._starts.counted(statistics)

    def _polled(self) -> None:
        """The session is alive."""
        self._last_poll, self._polled_at = self.clock.wall(), self.clock.monotonic()

    def _is_set_aside(self, batch: m.BatchReceived) -> bool:
        """A batch whose handling has crashed three scale set actors is not handled again; the statistics
        have to do (docs/behaviour.md § 8.4)."""
        is_poison = bool(self._poisonous) and batch.digest in self._poisonous
        self._conditions.batch_set_aside(is_poison)
        if not is_poison:
            return False
        self._context.metrics.count(own.MESSAGE_FAILURES, MessageFailure.QUARANTINED)
        context = self._context
        kept = context.actors.state_store.set_aside(context.key, batch.batch_id, repr(batch.events))
        where = f"kept in {kept}" if kept else "dropped"
        context.log.error("batch {} crashed the scale set three times: {}", batch.batch_id, where)
        return True

    def _answer(self, batch_id: int | None, offers: Iterable[JobAvailable]) -> None:
        capacity = self._context.limits.max_runners
        acquire = self._planning.acquire(capacity, offers) if self._takes_jobs() else ()
        self._child_actors.tell_listener(m.BatchHandled(batch_id, acquire))

    def _look_for_offers(self, *, in_vain: bool) -> None:
        capacity = self._context.limits.max_runners
        if self._takes_jobs() and self._planning.misses_offers(capacity, in_vain=in_vain):
            self._child_actors.tell_listener(m.FindOffers())

    def _announce_capacity(self, capacity: int) -> None:
        """A poll in flight is broken off; a call that opens or closes a session is not."""
        order = m.AnnounceCapacity(capacity)
        if self._serves():
            self._child_actors.interrupt_listener(order)
            self._look_for_offers(in_vain=True)  # there may be room for some that were left
        else:
            self._child_actors.tell_listener(order)

    def _takes_jobs(self) -> bool:
        return not (self._shutdown.begun or self._retired or self._drain.active)

    # -- the runner actors' reports ---------------------------------------------------------------------

    def _hear_runner(self, message: m.RunnerReport) -> None:
        match message:
            case m.RunnerActorStopped(number):
                self._child_actors.forget_runner(number)
                self._shutdown.check()
            case m.RunnerGone(number, generation):
                self._runners.gone(number, generation)
            case m.DeregistrationPending(number, runner, runner_id):
                self._reconciliation.deregistration_pending(number, runner, runner_id)
            case m.DeregistrationDone(number, runner):
                self._reconciliation.deregistration_done(number, runner)
                self._ended.proved(runner, Evidence.DEREGISTERED)
            case m.DeregistrationRefused(_, runner):
                self._ended.proved(runner, Evidence.REFUSED)
            case m.EndProved(_, runner, registered):
                evidence = Evidence.REGISTERED if registered else Evidence.UNREGISTERED
                self._ended.proved(runner, evidence)
            case _:
                self._hear_of_slot(message)

    def _hear_of_slot(self, message: m.SlotReport) -> None:
        slot = self._book.of_generation(message.slot, message.generation)
        if slot is None:
            return
        match message:
            case m.RunnerUp():
                self._runners.up(slot, message)
                self._starts.up(slot, message)
            case m.RunnerStartFailed():
                self._runners.start_failed(slot, message)
                if message.image_missing:
                    self.send(self._keeper, m.RetryPrepare(self._context.key))
            case m.RetireAgreed():
                self._context.metrics.count(own.RETIREMENTS, Retirement.REMOVED)
                self._runners.apply(slot, SlotEvent.AGREED)
            case m.RetireRefused():
                self._context.metrics.count(own.RETIREMENTS, Retirement.REFUSED_BUSY)
                self._runners.retire_refused(slot)
            case m.RetireFailed(reason=reason):
                self._context.metrics.count(own.RETIREMENTS, Retirement.ERROR)
                self._runners.retire_failed(slot, reason)
            case m.JobDetected():
                self._runners.job_detected(slot)
            case m.RegistrationChecked():
                self._checks.registration_checked(slot, message)
                if message.online:
                    self._starts.registered(slot)
            case m.OutputKept():
                self._runners.output_kept(slot, message)
            case m.RemovalFailed(reason=reason):
                self._runners.removal_failed(slot, reason)
            case _:
                assert_never(message)

    # -- the keeper's and the host's reports ------------------------------------------------------------

    def _hear_keeper(self, message: m.KeeperReport) -> None:
        match message:
            case m.ResourceEnded(resource_id, ending):
                self._runners.resource_ended(resource_id, ending)
            case m.ClaimGranted(number, generation, place):
                if slot := self._book.of_generation(number, generation):
                    self._runners.claim_granted(slot, place)
            case m.Inventory():
                self._compare(message)
            case m.BackendDown():
                self._conditions.backend_down(message)
            case m.BackendUp():
                # For this set it is up when its list has come: until then it is not known what runs.
                self._runners.retry_removals()
                self._ask_for_inventory()
            case m.VmSlotsFull(holders):
                self._conditions.vm_slots_full(holders)
            case m.HostShort():
                self._conditions.host_is_short(message)
            case m.ImagePrepared(revision):
                self._heard.image_at = self.clock.wall()
                self._conditions.image_prepared()
                self._settings.prepared(revision)
            case m.ImageAbsent():
                self._conditions.image_absent(message)
            case _:
                assert_never(message)

    def _compare(self, inventory: m.Inventory) -> None:
        began = self.clock.monotonic()
        self._reconciliation.compare(inventory, is_first=not self._conditions.condition.listed)
        self._context.actors.metrics.observe(own.RECONCILE_SECONDS, self.clock.monotonic() - began)
        if not self._conditions.condition.listed:
            self._claims.hold_all()
        self._conditions.listed()
        self._reconciliation.remove_left_registrations()
        self._shutdown.check()

    def _join_keeper(self) -> None:
        context = self._context
        starts = not self._retired
        revision = self._settings.revision
        join = m.JoinKeeper(context.key, self.actor_ref, context.settings, starts, revision)
        self._tell_keeper(join)
        self._ask_for_inventory()

    def _ask_for_inventory(self) -> None:
        self._tell_keeper(m.ListResources(self._context.key))

    def _tell_keeper(self, message: object) -> None:
        self.send(self._keeper, message)

    def _peer_replaced(self, replaced: m.PeerReplaced) -> None:
        listed = self._conditions.condition.listed
        if replaced.kind == m.HEALTH:
            self._health = replaced.ref
            self._publish_soon()
        elif replaced.kind == m.KEEPER:
            self._keeper = replaced.ref
            self._join_keeper()
            self._claims.keeper_replaced(replaced.ref, is_listed=listed)
        else:
            self._conditions.host_is_short(m.HostShort(None))  # the new one says it if it is so
            self._claims.host_replaced(replaced.ref, is_listed=listed)

    # -- its own deadlines ------------------------------------------------------------------------------

    def _set_slot_timer(self, seconds: float, slot: SlotNumber) -> None:
        self.after(seconds, m.SlotDue(slot))

    def _deadline_reached(self, message: m.OwnDeadline) -> None:
        match message:
            case m.MakePlan():
                self._plan_queued = False
                self._make_plan()
            case m.PlanDue():
                self._planning.look_again()
            case m.LimitsDue():
                self._limits.due()
            case m.Reconcile():
                self._reconcile()
            case m.Publish():
                self._publish()
            case m.SlotDue(number):
                self._runners.due(number)
            case m.EndedRunnerDue(runner):
                self._ended.due(runner)
                self._refresh_old_counts()
            case m.DrainTimedOut():
                self._shutdown.drain_timed_out()
            case m.ShutdownStepTimedOut(what):
                self._shutdown.timed_out(what)
            case m.RestartChild(name):
                self._child_back(self._child_actors.restart(name))
            case _:
                assert_never(message)

    def _version_refused(self) -> None:
        self.send(self._keeper, m.VersionRefused(self._context.key))

    def _reconcile(self) -> None:
        """Every 30 s: the backend's list, and a look for anomalies."""
        self._ask_for_inventory()
        self.after(RECONCILE_SECONDS, m.Reconcile())
        self._starts.give_up_waiting()
        self._limits.look()
        if self._serves() and self._checks.look(self._polled_at):
            self._polled_at = self.clock.monotonic()
        self._refresh_old_counts()

    def _refresh_old_counts(self) -> None:
        """Jobs are proved to be over, and no message may ever come with counts that say so (fault F87)."""
        if self._ended.counts_are_old and self._serves():
            self._checks.refresh_counts()

    def _serves(self) -> bool:
        return self._conditions.condition.is_serving and self._takes_jobs()

    # -- its children -----------------------------------------------------------------------------------

    def _child_crashed(self, child: Child | None) -> None:
        if child is not None and child.slot is not None:
            self._book.set_down(self._book.slot(child.slot), True)
            self._leftovers.forget_slot(child.slot)
            self._changed()
        elif child is not None and child.gave_up:
            self._heard.session = False
            self._conditions.listener_failed(child.gave_up)
        self._shutdown.check()

    def _child_back(self, child: Child | None) -> None:
        if child is None:
            return
        if child.slot is None:
            self._conditions.listener_back()
            return
        slot = self._book.slot(child.slot)
        self._book.set_down(slot, False)
        if self._reconciliation.runner_actor_back(slot):
            self._ask_for_inventory()
        self._changed()

    # -- its snapshot, and its end ----------------------------------------------------------------------

    def _publish_soon(self) -> None:
        if not self._publish_due:
            self._publish_due = True
            scale = max(1.0, self._book.counts().held / PUBLISH_SLOTS)
            self.after(PUBLISH_SECONDS * scale, m.Publish())

    def _publish(self) -> None:
        """Also after the end, as messages that are queued by then are still handled."""
        self._publish_due = False
        taken = snapshot(
            self._context,
            self._book,
            self._conditions,
            self._planning,
            last_poll=self._last_poll,
            restarts=self._restarts + self.children.total_restarts(),
            typical_start=self._starts.typical(),
            heard=self._heard,
            actors=self._child_actors.runners_up(),
            listening=self._child_actors.has_listener(),
        )
        if self._shutdown.phase is Phase.DONE:
            taken = replace(taken, state=SetState.STOPPED, reason="")
        self.send(self._health, m.SnapshotTaken(self._context.key, taken))

    def _stopped(self) -> None:
        self._publish()
        self.send(self._keeper, m.LeaveKeeper(self._context.key, self._shutdown.keep))
        self.end(m.ScaleSetStopped(self._context.key))
