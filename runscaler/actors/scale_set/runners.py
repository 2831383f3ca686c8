"""The runners of one scale set: its slots, the actors behind them, and what each step takes.

A part of the scale set actor, used on its thread only. `policy.lifecycle` says what an event makes
of a slot; here is what has to be done then. It decides nothing about how many there should be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from loguru import logger

from runscaler import events
from runscaler.actors.messages import (
    AdoptRunner,
    CancelStart,
    RemoveRunner,
    RetireRunner,
    RunnerStartFailed,
    RunnerUp,
    ScaleSetMessage,
    SlotDue,
    StartRunner,
)
from runscaler.actors.scale_set.facts import RunnerFacts, runner_facts
from runscaler.actors.scale_set.runner_exits import Departures
from runscaler.actors.scale_set.slots import Slot, SlotBook
from runscaler.github.base import ScaleSetId
from runscaler.names import new_runner_name
from runscaler.policy.lifecycle import (
    FINISH_SECONDS,
    GRACE_SECONDS,
    Effect,
    SlotEvent,
    SlotState,
    is_ignored,
    step,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from loguru import Logger

    from runscaler.actors.context import ActorContext
    from runscaler.actors.scale_set.child_actors import Crew
    from runscaler.actors.scale_set.claims import Places
    from runscaler.actors.scale_set.conditions import Outlook
    from runscaler.actors.scale_set.ended_runners import Tally
    from runscaler.backends.base import Place, Resource
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import SlotNumber

DOUBT_SECONDS = 30.0
"""After GitHub's "a job still runs" for a runner whose job is completed: ask again then."""
NAMELESS_SECONDS = 600.0
"""The same for one of whose job nothing was ever heard (fault F81)."""


class Office(Protocol):
    """What the runners need of the actor they are a part of."""

    def after(self, seconds: float, message: ScaleSetMessage, /) -> None: ...
    def changed(self) -> None: ...


class Runners:
    def __init__(
        self,
        office: Office,
        crew: Crew,
        outlook: Outlook,
        places: Places,
        context: ActorContext,
        settings: ScaleSetSettings,
        tally: Tally,
    ) -> None:
        self._outlook, self._places = outlook, places
        self._office, self._crew, self._context, self._settings = office, crew, context, settings
        self._clock = context.clock
        self.book = SlotBook(settings.max_runners, context.clock)
        self.tally = tally
        self.scale_set_id = ScaleSetId(0)
        self.draining = False
        """Whatever is idle, or found, is retired."""
        self.hurried = False
        """An orderly stop is on: no grace after GitHub's agreement (docs/behaviour.md § 6.2)."""
        self._log = logger.bind(scale_set=settings.name)
        self.departures = Departures(office, crew, outlook, context, settings, self)

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
        if is_ignored(slot.state, event):
            return False
        then = step(slot.state, event)
        slot.reason = reason or slot.reason
        before = slot.state
        if then.state is SlotState.REMOVING:
            self.departures.remember(slot)
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
                self._places.claim(slot)
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
        """A place is granted; with the last of them: go."""
        if slot.state is not SlotState.WAITING or slot.runner is None:
            return
        if not self._places.granted(slot, place):
            return
        timeout = self._settings.start_timeout
        order = StartRunner(
            slot.generation, slot.runner, self.scale_set_id, slot.place, self._clock.monotonic() + timeout
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
        self._context.emit(
            events.RunnerStarted(**self._facts(slot), resource=report.resource.id, seconds=seconds)
        )
        self._outlook.start_succeeded()
        self.happen(slot, SlotEvent.UP)
        self.departures.catch_up(report.resource.id)

    def start_failed(self, slot: Slot, report: RunnerStartFailed) -> None:
        slot.failure, slot.vm_limit_reached = report.reason, report.vm_limit_reached
        if slot.state is SlotState.STARTING and not (report.rate_limited or report.vm_limit_reached):
            self._count_failed_start(slot, report.fixes)
        self.happen(slot, SlotEvent.START_FAILED)

    def _count_failed_start(self, slot: Slot, fixes: tuple[str, ...] = ()) -> None:
        self.tally.runners_failed += 1
        self._context.emit(events.RunnerFailed(**self._facts(slot), reason=slot.failure))
        self._outlook.start_failed(slot.ordered_at, slot.failure, fixes)

    def _cancel(self, slot: Slot) -> None:
        assert slot.runner is not None
        self._crew.cut_runner(slot.number, CancelStart(slot.generation, slot.runner))

    def limit_job(self, slot: Slot) -> None:
        """The job that it runs from now on gets its `job-timeout`, if there is one."""
        if self._settings.job_timeout:
            self.arm(slot, self._settings.job_timeout, SlotEvent.OVERDUE)

    # -- retiring and removing ------------------------------------------------------------------------

    def order_retirement(self, slot: Slot) -> None:
        after_job = slot.state is SlotState.FINISHING or slot.job_is_over
        self._crew.tell_runner(slot.number, RetireRunner(slot.generation, self.scale_set_id, after_job))

    def _grant_grace(self, slot: Slot) -> None:
        if self.hurried:
            self.happen(slot, SlotEvent.GRACE_OVER)
        else:
            self.arm(slot, GRACE_SECONDS, SlotEvent.GRACE_OVER)

    def retire_refused(self, slot: Slot) -> None:
        """A job runs. Where GitHub has already called it completed, it is asked again after a while."""
        if self.happen(slot, SlotEvent.REFUSED):
            self._note(slot).info("{} is not retired: a job still runs on it", slot.runner)
            if slot.job_is_over:
                self.arm(slot, DOUBT_SECONDS, SlotEvent.RETIRE)
            elif not slot.job_id:
                self.arm(slot, NAMELESS_SECONDS, SlotEvent.RETIRE)

    def retire_failed(self, slot: Slot, reason: str) -> None:
        if slot.state in (SlotState.RETIRING, SlotState.FINISHING):
            condition = self._outlook.condition
            known = condition.github is not None or condition.backend is not None
            level = "DEBUG" if known else "WARNING"
            self._note(slot).log(level, "{} cannot be retired yet: {}", slot.runner, reason)
            self.arm(
                slot,
                DOUBT_SECONDS,
                SlotEvent.OVERDUE if slot.state is SlotState.FINISHING else SlotEvent.RETIRE,
            )

    def order_removal(self, slot: Slot) -> None:
        ran_its_job = bool(slot.completed_job) or (bool(slot.job_id) and slot.ending is not None)
        order = RemoveRunner(
            slot.generation,
            self.scale_set_id,
            force=slot.ending is None,
            deregister=not ran_its_job,
            keep_output=bool(slot.failure) or slot.suspect,
            ending=slot.ending,
        )
        self._crew.tell_runner(slot.number, order)

    def gone(self, slot: Slot, output: Path | None) -> None:
        """The resource is gone: say what it was, free the slot."""
        kept = f"; its last output is kept in {output}" if output else ""
        if slot.failure:
            self._note(slot).warning("{}{}", slot.failure, kept)
        elif kept and slot.runner is not None:
            self.departures.note(slot.runner, kept)
        elif slot.state is SlotState.REMOVING:
            self._note(slot).debug("removed {}: {}", slot.runner, slot.reason or "its job is done")
        self.happen(slot, SlotEvent.GONE)

    def _leave(self, slot: Slot, effect: Effect) -> None:
        """The slot is about to be empty: give its places back."""
        self._places.give_back(slot)
        if effect is Effect.GIVE_BACK and slot.resource is not None:
            reason = slot.reason or slot.failure or "its job is done"
            self._context.emit(events.RunnerRemoved(**self._facts(slot), reason=reason))

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
            self.departures.ended(resource.id, resource.ending)
            return
        self._note(slot).info("took over {}, which was running already", resource.runner)
        self._context.emit(events.RunnerAdopted(**self._facts(slot), resource=resource.id))
        if self.draining:
            self.happen(slot, SlotEvent.RETIRE, "the daemon stops")

    def seen_at_work(self, slot: Slot) -> None:
        """An adopted runner has a job inside: which one, GitHub may still tell. Its time counts anew."""
        if slot.state is SlotState.ADOPTED:
            self.happen(slot, SlotEvent.JOB_STARTED)
            self.limit_job(slot)

    # -- words ------------------------------------------------------------------------------------------

    def _note(self, slot: Slot) -> Logger:
        return self._log.bind(slot=slot.number, runner=slot.runner)

    def _facts(self, slot: Slot) -> RunnerFacts:
        return runner_facts(self._clock, self._settings, slot.number, slot.runner or "")


_OVERDUE = {
    SlotState.BUSY: "its time is up",
    SlotState.STARTING: "its start took too long",
}
