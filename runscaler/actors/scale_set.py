"""One scale set: messages in, the view updated, the plan carried out. It never blocks.

It decides nothing itself: `policy.scaling` says how many runners there should be, `policy.lifecycle`
what an event makes of a slot, `policy.inventory` what a list of resources means, `policy.condition`
what stands in the way. Its parts: `Runners` (slots and their actors), `Jobs` (what job messages
mean), `Farewell` (the order of a stop).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler import events
from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.actors.farewell import Farewell
from runscaler.actors.jobs import Jobs
from runscaler.actors.listener import ListenerActor
from runscaler.actors.past import Tally
from runscaler.actors.runner import RunnerActor
from runscaler.actors.runners import Runners
from runscaler.actors.snapshot import snapshot
from runscaler.github.messages import Statistics
from runscaler.interrupt import Interrupt
from runscaler.names import SlotNumber
from runscaler.policy.condition import Condition, Hold
from runscaler.policy.inventory import Believed, Listed, reconcile
from runscaler.policy.lifecycle import SlotEvent, SlotState
from runscaler.policy.scaling import Demand, Plan, View, plan, to_acquire
from runscaler.status import SetState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.house import House
    from runscaler.actors.slots import Slot
    from runscaler.backends.base import Backend, Resource
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService, Trouble
    from runscaler.github.messages import JobAvailable
    from runscaler.names import RunnerName

LISTENER = "listener"
RECONCILE_SECONDS = 30.0
PUBLISH_SECONDS = 0.05
"""Snapshots are taken at most this often: at a thousand slots one costs a millisecond."""
BLOCKED_SECONDS = 60.0
"""A slot whose actor gave up is out of use this long (design.md 6); a listener the same."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scale set actor stands: what it is made with beside its settings.

    `restarts` counts its own; `tally` goes on from where its predecessor was.
    """

    parent: m.Ref
    keeper: m.Ref
    host: m.Ref
    health: m.Ref
    backend: Backend
    restarts: int = 0
    tally: Tally | None = None


class ScaleSetActor(SupervisedActor[m.ScaleSetMessage]):
    def __init__(self, house: House, settings: ScaleSetSettings, place: Place) -> None:
        super().__init__(f"scale-set {settings.name}", place.parent, house.clock)
        self._house, self._settings, self._place = house, settings, place
        self._keeper, self._host, self._health = place.keeper, place.host, place.health
        self._condition = Condition()
        self._statistics = Statistics()
        self._last_plan = Plan(target=0)
        self._last_poll: float | None = None
        self._looks_at: float | None = None
        self._plan_due = self._publish_due = False
        self._unclear: set[SlotNumber] = set()
        self._said: tuple[SetState, str] = (SetState.STARTING, "")
        self._runners = Runners(self, house, settings, place.tally or Tally())
        self._jobs = Jobs(self, house, settings, self._runners)
        self._farewell = Farewell(self, settings, self._runners)
        self._service: ScaleSetService | None = None
        self._log = logger.bind(scale_set=settings.name)

    def started(self) -> None:
        self._service = self._house.connect(self._settings, self._hear_trouble)
        self.send(self._keeper, m.JoinKeeper(self._settings.key, self.actor_ref, self._settings))
        self._start_listener()
        self._ask_for_inventory()
        self.after(RECONCILE_SECONDS, m.Reconcile())
        self._publish_soon()

    def receive(self, message: m.ScaleSetMessage) -> None:
        if isinstance(message, m.ListenerReport):
            self._hear_listener(message)
        elif isinstance(message, m.RunnerReport):
            self._hear_runner(message)
        elif isinstance(message, m.ThingReport):
            self._hear_thing(message)
        elif isinstance(message, m.OwnDeadline):
            self._reach(message)
        elif isinstance(message, m.ChildCrashed):
            self._child_crashed(message)
        elif isinstance(message, m.PeerReplaced):
            self._meet(message)
        elif isinstance(message, m.StopScaleSet):
            self._stop_in_order(message)
        else:
            assert_never(message)

    # -- GitHub's side ------------------------------------------------------------------------------

    def _hear_trouble(self, trouble: Trouble | None) -> None:
        """From the service, on whatever thread its call runs."""
        self.send(self.actor_ref, m.ListenerTroubled(trouble))

    def _hear_listener(self, message: m.ListenerReport) -> None:
        match message:
            case m.ScaleSetFound(scale_set_id):
                self._runners.scale_set_id = scale_set_id
            case m.SessionOpened():
                self._session_opened(message)
            case m.BatchReceived():
                self._batch(message)
            case m.PolledInVain():
                self._last_poll = self.clock.wall()
                self._changed()
            case m.StoodBy(reason, retry_at):
                self._set(standby=Hold(reason, retry_at), github=None, rate_limited=False)
            case m.ListenerTroubled(trouble):
                self._troubled(trouble)
            case m.ListenerStopped():
                self.children.forget(LISTENER)
                self._farewell.listener_stopped()
            case _:
                assert_never(message)

    def _session_opened(self, opened: m.SessionOpened) -> None:
        self._runners.scale_set_id = opened.scale_set_id
        self._warn_about_labels(opened.labels)
        self._last_poll = self.clock.wall()
        self._count(opened.statistics)
        self._set(session=True, standby=None, github=None, rate_limited=False, listener_failed="")
        self._answer(None, opened.offers)

    def _warn_about_labels(self, kept: tuple[str, ...]) -> None:
        dropped = {one.lower() for one in self._settings.labels} - {one.lower() for one in kept}
        if dropped and kept:
            self._log.warning("GitHub dropped the labels {} without a word", ", ".join(sorted(dropped)))

    def _batch(self, batch: m.BatchReceived) -> None:
        self._last_poll = self.clock.wall()
        for problem in batch.problems:
            self._log.warning("{}", problem)
        self._count(batch.statistics)
        offers = self._jobs.apply(batch.events)
        self._answer(batch.batch_id, offers)
        self._changed()

    def _answer(self, batch_id: int | None, offers: Iterable[JobAvailable]) -> None:
        wanted = to_acquire(
            self._capacity(),
            self._statistics.acquired,
            self._statistics.assigned,
            [offer.request_id for offer in offers],
        )
        self.children.tell(LISTENER, m.BatchHandled(batch_id, wanted))

    def _count(self, statistics: Statistics | None) -> None:
        """Unknown is not zero: the last good ones stay."""
        if statistics is not None:
            self._statistics = statistics

    def _capacity(self) -> int:
        return 0 if self._farewell.begun else self._settings.max_runners

    def _troubled(self, trouble: Trouble | None) -> None:
        if trouble is None:
            self._set(github=None, rate_limited=False)
            return
        cures = f" ({'; or '.join(trouble.fixes)})" if trouble.fixes else ""
        self._set(github=Hold(trouble.reason + cures, trouble.retry_at), rate_limited=trouble.rate_limited)

    # -- the runners' side ---------------------------------------------------------------------------

    def _hear_runner(self, message: m.RunnerReport) -> None:
        if isinstance(message, m.RunnerEnded):
            self.forget_runner(message.slot)
            self._farewell.check()
            return
        slot = self._runners.book.of_generation(message.slot, message.generation)
        if slot is None:
            return
        match message:
            case m.RunnerUp():
                self._runners.up(slot, message)
            case m.RunnerStartFailed():
                self._runners.start_failed(slot, message)
            case m.RetireAgreed():
                self._runners.happen(slot, SlotEvent.AGREED)
            case m.RetireRefused():
                self._runners.retire_refused(slot)
            case m.RetireFailed(reason=reason):
                self._runners.retire_failed(slot, reason)
            case m.RunnerGone(output=output):
                self._runners.gone(slot, output)
            case m.RemovalFailed(reason=reason):
                self._log.warning("{} is not removed yet, trying again: {}", slot.runner, reason)
            case _:
                assert_never(message)

    # -- the thing the runners live on, and the host -------------------------------------------------

    def _hear_thing(self, message: m.ThingReport) -> None:
        match message:
            case m.ResourceEnded(resource_id, ending):
                self._runners.ended(resource_id, ending)
            case m.PlaceGranted(number, generation, place):
                if slot := self._runners.book.of_generation(number, generation):
                    self._runners.placed(slot, place)
            case m.Inventory():
                self._reconcile(message)
            case m.BackendDown(reason, fixes):
                cures = f" ({'; or '.join(fixes)})" if fixes else ""
                self._set(backend=Hold(reason + cures))
            case m.BackendUp():
                self._set(backend=None)
                self._ask_for_inventory()
            case m.ImagePrepared():
                self._set(image=None, image_failed=False)
            case m.ImageAbsent(reason, fixes, failed):
                cures = f" ({'; or '.join(fixes)})" if fixes else ""
                self._set(image=Hold(reason + cures), image_failed=failed)
            case _:
                assert_never(message)

    def _ask_for_inventory(self) -> None:
        self.send(self._keeper, m.ListResources(self._settings.key))

    def _reconcile(self, inventory: m.Inventory) -> None:
        """What is listed against what is believed; each difference is an event for its slot."""
        by_id = {resource.id: resource for resource in inventory.resources}
        listed = [Listed(r.id, r.runner, r.slot, r.ending is None) for r in inventory.resources]
        believed = [_believed(slot) for slot in self._runners.book.held()]
        repairs = reconcile(inventory.as_of, listed, believed, self._settings.max_runners, self._unclear)
        for one, number in repairs.adopt:
            self._ensure_runner(number)
            self._runners.adopt(by_id[one.resource_id], number, one.running)
            self.tell_host(m.HoldPlaces(self._settings.key, (number,)))
        for number in repairs.ended:
            self._end_listed(number, by_id)
        for one, number in repairs.found:
            self._unclear.discard(number)
            self._runners.found(self._runners.book.slot(number), by_id[one.resource_id])
        for number in repairs.lost:
            self._lose(self._runners.book.slot(number))
        self._runners.forget_early_ends()
        self._set(listed=True)

    def _end_listed(self, number: SlotNumber, by_id: dict[str, Resource]) -> None:
        slot = self._runners.book.slot(number)
        if slot.resource is not None:
            seen = by_id.get(slot.resource.id)
            self._runners.ended(slot.resource.id, None if seen is None else seen.ending)

    def _lose(self, slot: Slot) -> None:
        """A start whose actor crashed has left nothing at the backend, but perhaps a registration."""
        self._unclear.discard(slot.number)
        if slot.runner is not None:
            self.tell_runner(slot.number, m.DeregisterRunner(slot.runner, slot.runner_id))
        slot.failure = slot.failure or f"the start of {slot.runner} was lost when its actor crashed"
        self._runners.happen(slot, SlotEvent.GONE)

    def _meet(self, replaced: m.PeerReplaced) -> None:
        if replaced.kind == m.HOST:
            self._host = replaced.ref
            self._tell_held_places()
            for slot in self._runners.book.in_state(SlotState.WAITING):
                self.tell_host(self.claim(slot))
        elif replaced.kind == m.HEALTH:
            self._health = replaced.ref
            self._publish_soon()
        else:
            self._keeper = replaced.ref
            self.send(self._keeper, m.JoinKeeper(self._settings.key, self.actor_ref, self._settings))
            self._ask_for_inventory()

    def _tell_held_places(self) -> None:
        held = (slot.number for slot in self._runners.book.held() if slot.state is not SlotState.WAITING)
        self.tell_host(m.HoldPlaces(self._settings.key, tuple(held)))

    # -- own deadlines -------------------------------------------------------------------------------

    def _reach(self, message: m.OwnDeadline) -> None:
        match message:
            case m.MakePlan():
                self._plan_due = False
                self._plan()
            case m.LookAgain():
                self._looks_at = None
                self._changed()
            case m.Reconcile():
                self._ask_for_inventory()
                self.after(RECONCILE_SECONDS, message)
            case m.Publish():
                self._publish()
            case m.SlotDue(number):
                self._runners.due(number)
            case m.SettleDeparted(runner):
                self._settle_departed(runner)
            case m.DrainOver():
                self._farewell.drain_over()
            case m.ClosingOver(what):
                self._farewell.over(what)
            case m.RestartChild(name):
                self._restart_child(name)
            case _:
                assert_never(message)

    # -- planning ------------------------------------------------------------------------------------

    def _changed(self) -> None:
        """The view is not what it was: one plan is due, however much has changed."""
        if not self._plan_due:
            self._plan_due = True
            self.again(m.MakePlan())
        self._publish_soon()

    def _plan(self) -> None:
        if self._farewell.begun:
            self._last_plan = Plan(target=0)
            self._farewell.check()
            return
        if not self._condition.may_plan:
            return
        now = self.clock.monotonic()
        made = self._last_plan = plan(self._view(now))
        if made.start:
            self._say_why(made)
        self._runners.start(made.start)
        self._runners.drop(made.drop)
        self._runners.retire(made.retire)
        if made.next_look is not None and (self._looks_at is None or made.next_look < self._looks_at):
            self._looks_at = made.next_look
            self.after(max(0.0, made.next_look - now), m.LookAgain())

    def _view(self, now: float) -> View:
        book, settings = self._runners.book, self._settings
        counts = book.counts()
        demand = Demand(self._statistics.assigned, self._statistics.running, self._runners.past.departed)
        view = View(
            now,
            settings.min_runners,
            settings.max_runners,
            demand,
            counts,
            settings.idle_timeout,
            gates=self._condition.gates(),
            blocked=book.blocked,
        )
        surplus = counts.counted - min(settings.max_runners, settings.min_runners + demand.jobs(counts.busy))
        return view if surplus <= 0 else replace(view, idle=book.oldest_retirable(surplus))

    def _say_why(self, made: Plan) -> None:
        counts = self._runners.book.counts()
        self._log.info(
            "starting {} runners: {} jobs assigned, {} runners counted, target {}",
            made.start,
            self._statistics.assigned,
            counts.counted,
            made.target,
        )

    # -- what its parts need of it -------------------------------------------------------------------

    def tell_host(self, message: object, /) -> None:
        self.send(self._host, message)

    def tell_runner(self, slot: SlotNumber, message: object, /) -> bool:
        self._ensure_runner(slot)
        return self.children.tell(_runner_name(slot), message)

    def cut_runner(self, slot: SlotNumber, /) -> None:
        self.children.interrupt(_runner_name(slot))

    def claim(self, slot: Slot, /) -> m.ClaimPlace:
        return m.ClaimPlace(self._settings.key, self.actor_ref, slot.number, slot.generation)

    def start_failed(self, ordered_at: float, reason: str, /) -> None:
        now = self.clock.monotonic()
        record = self._condition.failures.start_failed(ordered_at, now, self.clock.jitter(1.0), reason)
        self._log.warning("{}; next try in {:.0f} s", reason, max(0.0, record.until - now))
        self._set(failures=record)

    def ended_early(self, ordered_at: float, reason: str, /) -> None:
        now = self.clock.monotonic()
        jitter = self.clock.jitter(1.0)
        self._set(failures=self._condition.failures.ended_early(ordered_at, now, jitter, reason))

    def start_succeeded(self) -> None:
        if self._condition.failures.starts:
            self._set(failures=self._condition.failures.started())

    def proved(self) -> None:
        if self._condition.failures.in_a_row:
            self._set(failures=self._condition.failures.proved())

    def expect_word_of(self, slot: Slot, /) -> None:
        assert slot.runner is not None
        self.after(10.0, m.SettleDeparted(slot.runner))

    def after_job_timeout(self, slot: Slot, /) -> None:
        if self._settings.job_timeout:
            self._runners.arm(slot, self._settings.job_timeout, SlotEvent.OVERDUE)

    def slots_changed(self) -> None:
        self._changed()

    def _settle_departed(self, runner: RunnerName) -> None:
        """GitHub's word about a runner that ended has not come in 10 s."""
        past = self._runners.past.get(runner)
        if past is None:
            return
        if past.unproven:
            past.unproven = False
            self._log.warning("{}", past.why)
            self._runners.count_early_end(past.slot, past.ordered_at, past.why, runner)
        elif past.departed:
            self._runners.past.forget_departure(runner)
            self.tell_runner(past.slot, m.DeregisterRunner(runner, past.runner_id))
            self._changed()

    # -- children ------------------------------------------------------------------------------------

    def _start_listener(self) -> None:
        interrupt = Interrupt()
        assert self._service is not None
        service = self._service

        def make() -> m.Ref:
            return ListenerActor.start(
                f"listener {self._settings.name}",
                self.actor_ref,
                self._house,
                self._settings,
                service,
                interrupt,
                self._capacity(),
            )

        self._judge(self.children.start(LISTENER, make, interrupt))

    def _ensure_runner(self, slot: SlotNumber) -> None:
        """Make the slot's actor when the slot is first used."""
        name = _runner_name(slot)
        if name in self.children.names() or self._service is None:
            return
        interrupt, service = Interrupt(), self._service

        def make() -> m.Ref:
            return RunnerActor.start(
                f"{name} {self._settings.name}",
                self.actor_ref,
                self._house,
                self._settings,
                slot,
                service,
                self._place.backend,
                interrupt,
            )

        self._judge(self.children.start(name, make, interrupt))

    def runner_actors(self) -> tuple[SlotNumber, ...]:
        return tuple(slot for name in self.children.names() if (slot := _slot_of(name)) is not None)

    def forget_runner(self, slot: SlotNumber, /) -> None:
        self.children.forget(_runner_name(slot))

    def _judge(self, crash: m.ChildCrashed | None) -> None:
        if crash is not None:
            self._child_crashed(crash)

    def _child_crashed(self, crash: m.ChildCrashed) -> None:
        verdict = self.children.crashed(crash)
        if verdict is None:
            return
        self._say_crash(crash, verdict.delay)
        if (number := _slot_of(verdict.name)) is not None:
            self._runners.book.set_down(self._runners.book.slot(number), True)
        elif verdict.delay is None:
            self._set(listener_failed=f"its listener crashed again and again: {_first_line(crash.error)}")
        if verdict.delay is None:
            self.children.forgive(verdict.name)
        self.after(BLOCKED_SECONDS if verdict.delay is None else verdict.delay, m.RestartChild(verdict.name))
        self._changed()

    def _say_crash(self, crash: m.ChildCrashed, delay: float | None) -> None:
        then = f"given up for {BLOCKED_SECONDS:g} s" if delay is None else f"back in {delay:g} s"
        reason = f"{_first_line(crash.error)} while handling {crash.handling}"
        self._log.error("{} crashed: {}; {}", crash.name, reason, then)
        self._log.debug("{} crashed: {}", crash.name, crash.error)
        self._house.emit(
            events.ActorRestarted(
                at=self.clock.wall(),
                scale_set=self._settings.name,
                name=crash.name,
                reason=reason,
                gave_up=delay is None,
            )
        )

    def _restart_child(self, name: str) -> None:
        self._judge(self.children.restart(name))
        if self.children.ref(name) is None:
            return
        if (number := _slot_of(name)) is not None:
            self._resume(self._runners.book.slot(number))
        else:
            self._set(listener_failed="")

    def _resume(self, slot: Slot) -> None:
        """The slot's actor is new: give it the resource, and the order that its predecessor had."""
        self._runners.book.set_down(slot, False)
        if slot.state is SlotState.EMPTY:
            self._farewell.check()
        elif slot.resource is not None:
            self.tell_runner(slot.number, m.AdoptRunner(slot.generation, slot.resource))
            if slot.state is SlotState.RETIRING:
                self._runners.order_retirement(slot)
            elif slot.state is SlotState.REMOVING:
                self._runners.order_removal(slot)
        elif slot.state is not SlotState.WAITING:
            self._unclear.add(slot.number)
            self._ask_for_inventory()
        self._changed()

    # -- being seen ----------------------------------------------------------------------------------

    def _set(self, **changes: object) -> None:
        """Change the condition; a new state is said once."""
        self._condition = replace(self._condition, **changes)  # type: ignore[arg-type]
        state, reason = self._condition.state()
        if (state, reason) != self._said:
            self._said = (state, reason)
            self._say_state(state, reason)
        self._changed()

    def _say_state(self, state: SetState, reason: str) -> None:
        bad = state in (SetState.DEGRADED, SetState.FAILED)
        self._log.log(
            "WARNING" if bad else "INFO", "scale set is {}{}", state, f": {reason}" if reason else ""
        )
        self._house.emit(
            events.ScaleSetChanged(
                at=self.clock.wall(), scale_set=self._settings.name, state=str(state), reason=reason
            )
        )

    def _publish_soon(self) -> None:
        if not self._publish_due:
            self._publish_due = True
            self.after(PUBLISH_SECONDS, m.Publish())

    def _publish(self, state: SetState | None = None) -> None:
        self._publish_due = False
        taken = snapshot(
            self._settings,
            self._runners,
            self._condition,
            self._statistics,
            self._last_plan,
            last_poll=self._last_poll,
            restarts=self._place.restarts + self.children.total_restarts(),
        )
        if state is not None:
            taken = replace(taken, state=state, reason="")
        self.send(self._health, m.SnapshotTaken(self._settings.key, taken))

    # -- ending --------------------------------------------------------------------------------------

    def _stop_in_order(self, order: m.StopScaleSet) -> None:
        self._set(draining=True)
        self._farewell.begin(order)

    def announce_nothing(self) -> None:
        """No new jobs. What is queued against an announced 0 may never be offered to this set again."""
        self._log.warning("announcing capacity 0 to GitHub: the scale set is being shut down")
        self.children.interrupt(LISTENER)
        self.children.tell(LISTENER, m.AnnounceCapacity(0))

    def close_listener(self, *, delete: bool) -> bool:
        self.children.interrupt(LISTENER)
        return self.children.tell(LISTENER, m.CloseSession(delete))

    def leave(self) -> None:
        self._publish(SetState.STOPPED)
        self.send(self._keeper, m.LeaveKeeper(self._settings.key))
        self.report(m.ScaleSetStopped(self._settings.key))
        self.stop()


def _runner_name(slot: SlotNumber) -> str:
    return f"runner {slot}"


def _slot_of(name: str) -> SlotNumber | None:
    return None if name == LISTENER else SlotNumber(int(name.removeprefix("runner ")))


def _believed(slot: Slot) -> Believed:
    resource = "" if slot.resource is None else slot.resource.id
    return Believed(slot.number, slot.state, slot.runner, resource, slot.changed_at)


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]
