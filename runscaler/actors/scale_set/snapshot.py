"""A scale set's view as the frozen snapshot that leaves the actor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.scale_set.slots import NOT_KNOWN
from runscaler.policy.lifecycle import SlotState
from runscaler.status import ScaleSetStatus, SlotStatus

if TYPE_CHECKING:
    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.planning import Planning
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.status import StartPhases


@dataclass(slots=True)
class Heard:
    """When GitHub was heard, in wall-clock seconds, whether our message session is open, and what the keeper
    said about the runner image: when it was there last, and when it was built."""

    poll_at: float | None = None
    message_at: float | None = None
    statistics_at: float | None = None
    session: bool = False
    image_at: float | None = None
    image_built_at: float | None = None


_WITH_JOB = (SlotState.BUSY, SlotState.FINISHING)


def snapshot(
    context: ScaleSetContext,
    book: SlotBook,
    conditions: Conditions,
    planning: Planning,
    *,
    restarts: int,
    typical_start: StartPhases,
    heard: Heard,
    actors: int,
    listening: bool,
) -> ScaleSetStatus:
    """`last_poll` in wall-clock seconds; `restarts` are those of the scale set and its children."""
    settings, counts = context.settings, book.counts()
    plan, statistics = planning.last, planning.statistics
    state, reason = conditions.condition.state()
    retry_at, clock = conditions.condition.retry_at, context.clock
    return ScaleSetStatus(
        name=settings.name,
        url=settings.url,
        runner_group=settings.runner_group,
        backend=settings.backend,
        state=state,
        reason=reason,
        retry_at=None if retry_at is None else clock.wall() + retry_at - clock.monotonic(),
        idle=counts.idle + counts.retiring + counts.adopted,
        busy=counts.busy + counts.finishing,
        starting=counts.starting + counts.waiting,
        total=counts.held,
        max=context.limits.max_runners,
        min=context.limits.min_runners,
        window=context.timetable.window,
        next_window=context.timetable.next,
        desired_runners=plan.target,
        counters=context.counters,
        available_jobs=statistics.available,
        acquired_jobs=statistics.acquired,
        assigned_jobs=statistics.assigned,
        running_jobs=statistics.running,
        registered_runners=statistics.registered,
        busy_runners=statistics.busy,
        idle_runners=statistics.idle,
        statistics_at=heard.statistics_at,
        unmet=plan.unmet,
        restarts=restarts,
        last_poll=heard.poll_at,
        last_message=heard.message_at,
        session=heard.session,
        image_checked_at=heard.image_at,
        image_built_at=heard.image_built_at,
        leftovers=conditions.condition.leftovers,
        announced_capacity=settings.max_runners if heard.session else 0,
        windows=_windows(context),
        degraded_by=conditions.degraded_by(),
        by_state=book.by_state(),
        actors=actors,
        listening=listening,
        slots=tuple(_slot(slot) for slot in book.held()),
        typical_start=typical_start,
    )


def _windows(context: ScaleSetContext) -> tuple[tuple[str, bool], ...]:
    window = context.timetable.window
    in_force = 0 if window is None else window.entry
    return tuple((str(entry), entry == in_force) for entry, _ in enumerate(context.settings.schedule, 1))


def _slot(slot: Slot) -> SlotStatus:
    job, origin = (slot.job, slot.origin) if slot.state in _WITH_JOB else ("", NOT_KNOWN)
    return SlotStatus(slot.number, str(slot.state), slot.runner or "", job, slot.since, origin, slot.phases)
