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
from runscaler.actors.scale_set.job_tracking import JobTracking
from runscaler.actors.scale_set.leftovers import Leftovers
from runscaler.actors.scale_set.limits import LimitsInForce
from runscaler.actors.scale_set.listener_reports import ListenerReports
from runscaler.actors.scale_set.manual_drain import ManualDrain
from runscaler.actors.scale_set.planning import Planning
from runscaler.actors.scale_set.reconciliation import Reconciliation
from runscaler.actors.scale_set.runners import Runners
from runscaler.actors.scale_set.settings import SettingsInForce
from runscaler.actors.scale_set.shutdown import Phase, Shutdown
from runscaler.actors.scale_set.slots import SlotBook
from runscaler.actors.scale_set.snapshot import snapshot
from runscaler.actors.scale_set.starts import Starts
from runscaler.backends.base import PlacedBackend
from runscaler.metrics import own
from runscaler.metrics.words import Retirement
from runscaler.policy.ended_runners import Evidence
from runscaler.policy.lifecycle import SlotEvent
from runscaler.status import Counters, SetState

if TYPE_CHECKING:
    from runscaler.actors.context import ActorContext
    from runscaler.actors.scale_set.child_actors import Child
    from runscaler.backends.base import Backend
    from runscaler.config.changes import SetChange
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService, Trouble
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
        self._restarts = wiring.restarts
        self._ordered_stop, self._begins_drained = wiring.stop, wiring.drained
        self._retired = wiring.stop is not None
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
        claims = self._claims = Claims(context, book, wiring.host, wiring.keeper, has_vm_slots=has_vm_slots)
        ended = self._ended = EndedRunners(context, book, child_actors, conditions, self._version_refused)
        leftovers = self._leftovers = Leftovers(conditions)
        runners = self._runners = Runners(context, book, child_actors, claims, conditions, ended, leftovers)
        planning = self._planning = Planning(context, book, runners, ended, conditions)
        checks = self._checks = AnomalyChecks(context, book, runners, planning, child_actors, conditions)
        job_tracking = JobTracking(context, book, runners, ended, conditions, checks)
        self._reconciliation = Reconciliation(context, book, runners, child_actors, claims, leftovers)
        self._shutdown = Shutdown(context, book, runners, child_actors, conditions, self._stopped)
        self._drain = ManualDrain(runners, child_actors, claims, conditions)
        self._reports = ListenerReports(
            context,
            planning,
            self._starts,
            child_actors,
            conditions,
            ended,
            checks,
            job_tracking,
            self._reconciliation,
            self._shutdown,
            self._takes_jobs,
            wiring.poisonous,
        )
        self._limits = LimitsInForce(context, book, conditions, self._reports.announce_capacity)
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
            self._reports.hear(message)
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
            self._reports.session_ended()
            self._drain.begin()
        else:
            self._drain.end()
            self._reports.polled()
        self._changed()

    def _change_settings(self, change: SetChange) -> None:
        if self._shutdown.begun:
            return
        self._settings.change(change)
        self._limits.changed()

    def _connect(self, settings: ScaleSetSettings) -> ScaleSetService:
        return self._context.actors.connect(settings, self._hear_trouble)

    def _hear_trouble(self, trouble: Trouble | None) -> None:
        """From the service, on whatever thread its call runs."""
        self.send(self.actor_ref, m.CallsTroubled(trouble))

    def _takes_jobs(self) -> bool:
        return not (self._shutdown.begun or self._retired or self._drain.active)

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
            case m.ImagePrepared(revision, built_at):
                heard = self._reports.heard
                heard.image_at, heard.image_built_at = self.clock.wall(), built_at
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
                self._reports.refresh_old_counts()
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
        self._reports.look_for_anomalies()

    # -- its children -----------------------------------------------------------------------------------

    def _child_crashed(self, child: Child | None) -> None:
        if child is not None and child.slot is not None:
            self._book.set_down(self._book.slot(child.slot), True)
            self._leftovers.forget_slot(child.slot)
            self._changed()
        elif child is not None and child.gave_up:
            self._reports.session_ended()
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
            restarts=self._restarts + self.children.total_restarts(),
            typical_start=self._starts.typical(),
            heard=self._reports.heard,
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
