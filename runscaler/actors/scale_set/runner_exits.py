"""Runners whose resource has ended: was that the end of a job, or a failure?

The backend says it at once; GitHub's word about a job comes later, or comes never. A part of the
scale set actor, used on its thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from loguru import logger

from runscaler import events
from runscaler.actors.messages import DeregisterRunner, EndedRunnerDue, ScaleSetMessage
from runscaler.actors.scale_set.ended_runners import Past, PastRunner
from runscaler.actors.scale_set.facts import runner_facts
from runscaler.ops.state_dir import describe_ending
from runscaler.policy.lifecycle import SlotEvent, SlotState

if TYPE_CHECKING:
    from runscaler.actors.context import ActorContext
    from runscaler.actors.scale_set.child_actors import Crew
    from runscaler.actors.scale_set.conditions import Outlook
    from runscaler.actors.scale_set.ended_runners import Tally
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.backends.base import Ending
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetId
    from runscaler.names import RunnerName, SlotNumber

SETTLE_SECONDS = 10.0
"""How long a message about the job of a runner that has ended is waited for."""
MOMENT_SECONDS = 3.0
"""How long an end with 0 before any job was seen is taken for the end of one: no replacement yet."""
YOUNG_SECONDS = 30.0
"""An idle runner that ends with 0 later than this lost its registration: no failure (docs/behaviour.md § 5.2)."""

VERSION_REFUSED = 7
"""The exit code of a runner whose version GitHub refuses (docs/protocol.md § 8.2)."""
SECONDS_OF_A_REFUSED = 10.0
"""An old runner that does not know that code ends with 0 within seconds."""


class Office(Protocol):
    def after(self, seconds: float, message: ScaleSetMessage, /) -> None: ...
    def changed(self) -> None: ...


class Household(Protocol):
    """The runners, of which it is a part."""

    book: SlotBook
    tally: Tally
    scale_set_id: ScaleSetId

    def happen(self, slot: Slot, event: SlotEvent, reason: str = "", /) -> bool: ...


class Departures:
    def __init__(
        self,
        office: Office,
        crew: Crew,
        outlook: Outlook,
        context: ActorContext,
        settings: ScaleSetSettings,
        runners: Household,
    ) -> None:
        self._office, self._crew, self._outlook = office, crew, outlook
        self._context, self._settings, self._runners = context, settings, runners
        self._clock = context.clock
        self.past = Past()
        self._early: dict[str, Ending | None] = {}
        self._log = logger.bind(scale_set=settings.name)

    def ended(self, resource_id: str, ending: Ending | None) -> None:
        """The backend saw a resource end. One that no slot knows may be of a start still under way."""
        slot = self._runners.book.of_resource(resource_id)
        if slot is None:
            if self._runners.book.counts().starting or self._runners.book.counts().busy:
                self._early[resource_id] = ending
            return
        if slot.state is SlotState.REMOVING or slot.runner is None:
            return
        slot.ending = ending
        state = slot.state
        self.remember(slot)
        if state is SlotState.IDLE:
            self._judge_idle_end(slot, ending)
        elif state is SlotState.BUSY and ending is not None and ending.exit_code:
            slot.reason = f"it ended while busy ({describe_ending(ending)})"
        self._runners.happen(slot, SlotEvent.ENDED)

    def remember(self, slot: Slot) -> None:
        """Its runner ends, by itself or by us: what is still said of it is known to be about one of ours."""
        if slot.runner is None or self.past.get(slot.runner) is not None:
            return
        ending = slot.ending
        quiet = slot.state is SlotState.IDLE and ending is not None and ending.exit_code == 0
        past = PastRunner(
            slot.number,
            slot.runner_id,
            job_id=slot.job_id,
            completed=bool(slot.completed_job),
            departed=slot.state in (SlotState.BUSY, SlotState.ADOPTED),
            unproven=quiet,
            unsettled=quiet,
            ordered_at=slot.ordered_at,
        )
        self.past.add(slot.runner, past)
        if past.departed or past.unproven:
            self._office.after(MOMENT_SECONDS if quiet else SETTLE_SECONDS, EndedRunnerDue(slot.runner))

    def _judge_idle_end(self, slot: Slot, ending: Ending | None) -> None:
        """Before any job was seen on it. With 0 it may have had one whose messages are still to come."""
        lived = self._clock.monotonic() - slot.started_at
        how = describe_ending(ending)
        slot.failure = f"{slot.runner} ended before a job after {lived:.0f} s ({how}){_hint(ending, lived)}"
        if ending is not None and ending.exit_code == 0:
            past = self.past.get(slot.runner) if slot.runner else None
            if past is not None:
                past.why = slot.failure
                past.unproven = lived < YOUNG_SECONDS
            slot.suspect = lived < YOUNG_SECONDS
            slot.reason, slot.failure = slot.failure, ""
            return
        self._count_early_end(slot.number, slot.ordered_at, slot.failure, slot.runner or "")

    def _count_early_end(self, number: SlotNumber, ordered_at: float, reason: str, runner: str) -> None:
        self._runners.tally.runners_failed += 1
        self._context.emit(
            events.RunnerFailed(**runner_facts(self._clock, self._settings, number, runner), reason=reason)
        )
        self._outlook.ended_early(ordered_at, reason)

    def note(self, runner: RunnerName, more: str) -> None:
        """Words for the line that is said if the end of this runner turns out to be a failure."""
        past = self.past.get(runner)
        if past is not None:
            past.why += more

    def settle(self, runner: RunnerName) -> None:
        """GitHub's word about a runner that ended has not come in 10 s."""
        past = self.past.get(runner)
        if past is None:
            return
        if self.past.settle(runner):
            self._office.after(SETTLE_SECONDS - MOMENT_SECONDS, EndedRunnerDue(runner))
            self._office.changed()
        elif past.unproven and not self._outlook.condition.is_serving:
            self._office.after(SETTLE_SECONDS, EndedRunnerDue(runner))  # word of its job could not come
        elif past.unproven:
            past.unproven = False
            self._log.bind(slot=past.slot, runner=runner).warning("{}", past.why)
            self._count_early_end(past.slot, past.ordered_at, past.why, runner)
        elif self.past.forget_departure(runner):
            owed = DeregisterRunner(runner, past.runner_id, self._runners.scale_set_id)
            self._crew.tell_runner(past.slot, owed)
            self._office.changed()

    def catch_up(self, resource_id: str) -> None:
        """A start has reported: did its resource's end overtake that?"""
        if resource_id in self._early:
            self.ended(resource_id, self._early.pop(resource_id))

    def forget_early(self) -> None:
        """An inventory has told all that they could."""
        self._early.clear()


def _hint(ending: Ending | None, lived: float) -> str:
    """What such an end usually means (docs/protocol.md § 8.2, 8.5)."""
    code = None if ending is None else ending.exit_code
    if code == VERSION_REFUSED:
        return ": GitHub refuses this runner version, a newer image is needed"
    if code == 0 and lived < SECONDS_OF_A_REFUSED:
        return ": perhaps GitHub refuses this runner version"
    return ""
