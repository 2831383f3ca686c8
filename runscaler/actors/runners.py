"""The runners of one scale set: its slots, the actors behind them, and what each step takes.

A part of the scale set actor, used on its thread only. `policy.lifecycle` says what an event makes
of a slot; here is what has to be done then. It decides nothing about how many there should be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypedDict

from loguru import logger

from runscaler import events
from runscaler.actors.messages import (
    AdoptRunner,
    CancelStart,
    ClaimPlace,
    DeregisterRunner,
    HostMessage,
    RemoveRunner,
    RetireRunner,
    ReturnPlace,
    RunnerStartFailed,
    RunnerUp,
    ScaleSetMessage,
    SettleDeparted,
    SlotDue,
    StartRunner,
)
from runscaler.actors.past import Past, PastRunner, Tally
from runscaler.actors.slots import Slot, SlotBook
from runscaler.github.base import ScaleSetId
from runscaler.names import new_runner_name
from runscaler.policy.lifecycle import (
    FINISH_SECONDS,
    GRACE_SECONDS,
    Effect,
    SlotEvent,
    SlotState,
    step,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from loguru import Logger

    from runscaler.actors.crew import Crew
    from runscaler.actors.house import House
    from runscaler.actors.outlook import Outlook
    from runscaler.backends.base import Ending, Place, Resource
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import RunnerName, SlotNumber

SETTLE_SECONDS = 10.0
"""How long a message about the job of a runner that has ended is waited for."""
DOUBT_SECONDS = 30.0
"""After GitHub's "a job still runs" for a runner whose job is completed: ask again then."""
YOUNG_SECONDS = 30.0
"""An idle runner that ends with 0 later than this lost its registration: no failure (spec.md 5.2)."""


class Office(Protocol):
    """What the runners need of the actor they are a part of."""

    def after(self, seconds: float, message: ScaleSetMessage, /) -> None: ...
    def tell_host(self, message: HostMessage, /) -> None: ...
    def claim(self, slot: Slot, /) -> ClaimPlace: ...
    def changed(self) -> None: ...


class Runners:
    def __init__(
        self,
        office: Office,
        crew: Crew,
        outlook: Outlook,
        house: House,
        settings: ScaleSetSettings,
        tally: Tally,
    ) -> None:
        self._outlook = outlook
        self._office, self._crew, self._house, self._settings = office, crew, house, settings
        self._clock = house.clock
        self.book = SlotBook(settings.max_runners, house.clock)
        self.past = Past()
        self.tally = tally
        self.scale_set_id = ScaleSetId(0)
        self.hurried = False
        """An orderly stop is on: no grace after GitHub's agreement (spec.md 6.2)."""
        self._early_ends: dict[str, Ending | None] = {}
        self._log = logger.bind(scale_set=settings.name)

    # -- what the planner orders ------------------------------------------------------------------

    def start(self, count: int) -> None:
        for _ in range(count):
            slot = self.book.take(new_runner_name())
            if slot is None:
                return
            self.happen(slot, SlotEvent.WANTED)

    def drop(self, count: int) -> None:
        for slot in self.book.newest_waiting(count):
            self.happen(slot, SlotEvent.UNWANTED)

    def retire(self, numbers: Iterable[SlotNumber]) -> None:
        for number in numbers:
            self.happen(self.book.slot(number), SlotEvent.RETIRE, "not needed any more")

    # -- what happens to a slot -------------------------------------------------------------------

    def happen(self, slot: Slot, event: SlotEvent, reason: str = "") -> bool:
        """Take the step that the table says; False where the event changes nothing."""
        then = step(slot.state, event)
        if then.state is slot.state and then.effect is Effect.NOTHING:
            return False
        slot.reason = reason or slot.reason
        before = slot.state
        if then.effect in (Effect.GIVE_BACK, Effect.FREE_FAILED):
            self._leave(slot, then.effect)
        if then.state is not before:
            self.book.move(slot, then.state)
        self._perform(slot, then.effect)
        if then.state is SlotState.FINISHING and before is not then.state:
            self.arm(slot, FINISH_SECONDS, SlotEvent.OVERDUE)
        self._office.changed()
        return True

    def _perform(self, slot: Slot, effect: Effect) -> None:
        match effect:
            case Effect.CLAIM:
                self._office.tell_host(self._office.claim(slot))
            case Effect.CANCEL:
                self._cancel(slot)
            case Effect.RETIRE:
                self.order_retirement(slot)
            case Effect.GRACE:
                self._grant_grace(slot)
            case Effect.REMOVE | Effect.FAIL:
                self.order_removal(slot)
            case Effect.START | Effect.GIVE_BACK | Effect.FREE_FAILED | Effect.NOTHING:
                pass  # done by `placed` and `_leave`, which know more

    def arm(self, slot: Slot, seconds: float, event: SlotEvent) -> None:
        """Let `event` happen to the slot unless it moves before. One timer a slot, set anew when it fires."""
        now = self._clock.monotonic()
        slot.deadline, slot.deadline_event = now + seconds, event
        if slot.armed is None or slot.armed > slot.deadline:
            slot.armed = slot.deadline
            self._office.after(seconds, SlotDue(slot.number))

    def due(self, number: SlotNumber) -> None:
        slot = self.book.slot(number)
        now = self._clock.monotonic()
        if slot.armed is not None and slot.armed <= now:
            slot.armed = None
        if slot.deadline is None:
            return
        if slot.deadline > now:
            self.arm(slot, slot.deadline - now, slot.deadline_event)
            return
        event, slot.deadline = slot.deadline_event, None
        if slot.state is SlotState.STARTING:
            self._too_late(slot)
        self.happen(slot, event, _OVERDUE.get(slot.state, ""))

    def _too_late(self, slot: Slot) -> None:
        slot.failure = (
            f"{slot.runner} did not start within {self._settings.start_timeout:g} s (start-timeout)"
        )
        self._count_failed_start(slot)

    # -- starting -----------------------------------------------------------------------------------

    def placed(self, slot: Slot, place: Place) -> None:
        """Its places are granted: go."""
        if slot.state is not SlotState.WAITING or slot.runner is None:
            return
        timeout = self._settings.start_timeout
        order = StartRunner(
            slot.generation, slot.runner, self.scale_set_id, place, self._clock.monotonic() + timeout
        )
        self.happen(slot, SlotEvent.PLACED)
        self.arm(slot, timeout, SlotEvent.OVERDUE)
        if not self._crew.tell_runner(slot.number, order):
            slot.failure = "its actor is down"
            self.happen(slot, SlotEvent.START_FAILED)

    def up(self, slot: Slot, report: RunnerUp) -> None:
        if slot.resource is not None:
            return
        self.book.give(slot, report.resource)
        if slot.state is SlotState.REMOVING:
            return
        self.tally.runners_started += 1
        seconds = self._clock.monotonic() - slot.ordered_at
        self._note(slot).info("started {} in {:.1f} s", slot.runner, seconds)
        self._house.emit(
            events.RunnerStarted(**self._facts(slot), resource=report.resource.id, seconds=seconds)
        )
        self._outlook.start_succeeded()
        self.happen(slot, SlotEvent.UP)
        if report.resource.id in self._early_ends:
            self.ended(report.resource.id, self._early_ends.pop(report.resource.id))

    def start_failed(self, slot: Slot, report: RunnerStartFailed) -> None:
        slot.failure = report.reason
        if slot.state is SlotState.STARTING and not report.rate_limited:
            self._count_failed_start(slot, report.fixes)
        self.happen(slot, SlotEvent.START_FAILED)

    def _count_failed_start(self, slot: Slot, fixes: tuple[str, ...] = ()) -> None:
        self.tally.runners_failed += 1
        self._house.emit(events.RunnerFailed(**self._facts(slot), reason=slot.failure))
        self._outlook.start_failed(slot.ordered_at, slot.failure, fixes)

    def _cancel(self, slot: Slot) -> None:
        assert slot.runner is not None
        self._crew.cut_runner(slot.number, CancelStart(slot.generation, slot.runner))

    # -- retiring and removing ------------------------------------------------------------------------

    def order_retirement(self, slot: Slot) -> None:
        self._crew.tell_runner(slot.number, RetireRunner(slot.generation))

    def _grant_grace(self, slot: Slot) -> None:
        if self.hurried:
            self.happen(slot, SlotEvent.GRACE_OVER)
        else:
            self.arm(slot, GRACE_SECONDS, SlotEvent.GRACE_OVER)

    def retire_refused(self, slot: Slot) -> None:
        """A job runs. Where GitHub has already called it completed, it is asked again after a while."""
        doubtful = bool(slot.completed_job) and slot.completed_job == (slot.job_id or slot.completed_job)
        if self.happen(slot, SlotEvent.REFUSED):
            self._note(slot).info("{} is not retired: a job still runs on it", slot.runner)
            if doubtful:
                self.arm(slot, DOUBT_SECONDS, SlotEvent.RETIRE)

    def retire_failed(self, slot: Slot, reason: str) -> None:
        if slot.state in (SlotState.RETIRING, SlotState.FINISHING):
            self._note(slot).warning("{} cannot be retired yet: {}", slot.runner, reason)
            self.arm(
                slot,
                DOUBT_SECONDS,
                SlotEvent.OVERDUE if slot.state is SlotState.FINISHING else SlotEvent.RETIRE,
            )

    def order_removal(self, slot: Slot) -> None:
        proven = bool(slot.completed_job) or bool(slot.job_id)
        order = RemoveRunner(
            slot.generation,
            force=slot.ending is None,
            deregister=not proven,
            keep_output=bool(slot.failure),
            ending=slot.ending,
        )
        self._crew.tell_runner(slot.number, order)

    def gone(self, slot: Slot, output: Path | None) -> None:
        """The resource is gone: say what it was, free the slot."""
        if slot.failure:
            kept = f"; its last output is kept in {output}" if output else ""
            self._note(slot).warning("{}{}", slot.failure, kept)
        elif slot.state is SlotState.REMOVING:
            self._note(slot).debug("removed {}: {}", slot.runner, slot.reason or "its job is done")
        self.happen(slot, SlotEvent.GONE)

    def _leave(self, slot: Slot, effect: Effect) -> None:
        """The slot is about to be empty: give its places back."""
        self._office.tell_host(ReturnPlace(self._settings.key, slot.number))
        if effect is Effect.GIVE_BACK and slot.resource is not None:
            reason = slot.reason or slot.failure or "its job is done"
            self._house.emit(events.RunnerRemoved(**self._facts(slot), reason=reason))

    # -- ends -------------------------------------------------------------------------------------------

    def ended(self, resource_id: str, ending: Ending | None) -> None:
        """The backend saw a resource end. One that no slot knows may be of a start still under way."""
        slot = self.book.of_resource(resource_id)
        if slot is None:
            if self.book.counts().starting or self.book.counts().busy:
                self._early_ends[resource_id] = ending
            return
        if slot.state is SlotState.REMOVING or slot.runner is None:
            return
        slot.ending = ending
        state = slot.state
        self._remember(slot, ending)
        if state is SlotState.IDLE:
            self._judge_idle_end(slot, ending)
        elif state is SlotState.BUSY:
            slot.reason = f"it ended while busy ({_how(ending)})" if ending and ending.exit_code else ""
        self.happen(slot, SlotEvent.ENDED)

    def _remember(self, slot: Slot, ending: Ending | None) -> None:
        assert slot.runner is not None
        past = PastRunner(
            slot.number,
            slot.runner_id,
            job_id=slot.job_id,
            completed=bool(slot.completed_job),
            departed=slot.state in (SlotState.BUSY, SlotState.ADOPTED),
            unproven=slot.state is SlotState.IDLE and ending is not None and ending.exit_code == 0,
            ordered_at=slot.ordered_at,
        )
        self.past.add(slot.runner, past)
        if past.departed or past.unproven:
            self._office.after(SETTLE_SECONDS, SettleDeparted(slot.runner))

    def _judge_idle_end(self, slot: Slot, ending: Ending | None) -> None:
        """Before any job was seen on it. With 0 it may have had one whose messages are still to come."""
        lived = self._clock.monotonic() - slot.started_at
        slot.failure = f"{slot.runner} ended before a job after {lived:.0f} s ({_how(ending)})"
        if ending is not None and ending.exit_code == 0:
            past = self.past.get(slot.runner) if slot.runner else None
            if past is not None:
                past.why = slot.failure
                past.unproven = lived < YOUNG_SECONDS
            slot.reason, slot.failure = slot.failure, ""
            return
        self.count_early_end(slot.number, slot.ordered_at, slot.failure, slot.runner or "")

    def count_early_end(self, number: SlotNumber, ordered_at: float, reason: str, runner: str) -> None:
        self.tally.runners_failed += 1
        self._house.emit(
            events.RunnerFailed(**runner_facts(self._clock, self._settings, number, runner), reason=reason)
        )
        self._outlook.ended_early(ordered_at, reason)

    def settle(self, runner: RunnerName) -> None:
        """GitHub's word about a runner that ended has not come in 10 s."""
        past = self.past.get(runner)
        if past is None:
            return
        if past.unproven:
            past.unproven = False
            self._log.bind(slot=past.slot, runner=runner).warning("{}", past.why)
            self.count_early_end(past.slot, past.ordered_at, past.why, runner)
        elif self.past.forget_departure(runner):
            owed = DeregisterRunner(runner, past.runner_id, self.scale_set_id)
            self._crew.tell_runner(past.slot, owed)
            self._office.changed()

    # -- taking over ------------------------------------------------------------------------------------

    def adopt(self, resource: Resource, number: SlotNumber, running: bool) -> None:
        """A resource of ours that nobody here knew: it is its slot's runner from now on."""
        slot = self.book.slot(number)
        if slot.state is not SlotState.EMPTY:
            return
        self.book.occupy(slot, resource.runner)
        self.book.give(slot, resource)
        self.happen(slot, SlotEvent.FOUND)
        self._crew.tell_runner(number, AdoptRunner(slot.generation, resource))
        if not running:
            self.ended(resource.id, resource.ending)
            return
        self._note(slot).info("took over {}, which was running already", resource.runner)
        self._house.emit(events.RunnerAdopted(**self._facts(slot), resource=resource.id))

    def found(self, slot: Slot, resource: Resource) -> None:
        """A start whose outcome was not known did succeed."""
        self.book.give(slot, resource)
        self._crew.tell_runner(slot.number, AdoptRunner(slot.generation, resource))
        if slot.state is SlotState.REMOVING:
            self.order_removal(slot)
        else:
            self.happen(slot, SlotEvent.FOUND)

    def forget_early_ends(self) -> None:
        """An inventory has told all that they could."""
        self._early_ends.clear()

    # -- words ------------------------------------------------------------------------------------------

    def _note(self, slot: Slot) -> Logger:
        return self._log.bind(slot=slot.number, runner=slot.runner)

    def _facts(self, slot: Slot) -> RunnerFacts:
        return runner_facts(self._clock, self._settings, slot.number, slot.runner or "")


class RunnerFacts(TypedDict):
    """What every event about a runner says."""

    at: float
    scale_set: str
    slot: int
    runner: str


def runner_facts(clock: Clock, settings: ScaleSetSettings, slot: int, runner: str) -> RunnerFacts:
    return {"at": clock.wall(), "scale_set": settings.name, "slot": slot, "runner": runner}


_OVERDUE = {
    SlotState.BUSY: "its time is up",
    SlotState.STARTING: "its start took too long",
}


def _how(ending: Ending | None) -> str:
    """How it ended, in words."""
    if ending is None:
        return "it is not there any more"
    if ending.out_of_memory:
        return "out of memory"
    if ending.signal is not None:
        return f"signal {ending.signal}"
    return "exit code unknown" if ending.exit_code is None else f"exit code {ending.exit_code}"
