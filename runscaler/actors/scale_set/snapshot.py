"""A scale set's view as the frozen snapshot that leaves the actor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.policy.lifecycle import SlotState
from runscaler.status import Counters, ScaleSetStatus, SlotStatus

if TYPE_CHECKING:
    from runscaler.actors.scale_set.conditions import Outlook
    from runscaler.actors.scale_set.planning import Planning
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.config.model import ScaleSetSettings


def snapshot(
    settings: ScaleSetSettings,
    runners: Runners,
    outlook: Outlook,
    planning: Planning,
    *,
    last_poll: float | None,
    restarts: int,
) -> ScaleSetStatus:
    counts, tally = runners.book.counts(), runners.tally
    plan, statistics = planning.last, planning.statistics
    state, reason = outlook.condition.state()
    return ScaleSetStatus(
        name=settings.name,
        url=settings.url,
        runner_group=settings.runner_group,
        backend=settings.backend,
        state=state,
        reason=reason,
        idle=counts.idle + counts.retiring + counts.adopted,
        busy=counts.busy + counts.finishing,
        starting=counts.starting + counts.waiting,
        total=counts.held,
        max=settings.max_runners,
        min=settings.min_runners,
        desired_runners=plan.target,
        counters=Counters(
            jobs_started=tally.jobs_started,
            jobs_completed=tally.jobs_completed,
            runners_started=tally.runners_started,
            runners_failed=tally.runners_failed,
        ),
        available_jobs=statistics.available,
        assigned_jobs=statistics.assigned,
        running_jobs=statistics.running,
        unmet=plan.unmet,
        restarts=restarts,
        last_poll=last_poll,
        slots=tuple(
            SlotStatus(
                slot.number, str(slot.state), slot.runner or "", _job(slot.state, slot.job), slot.since
            )
            for slot in runners.book.held()
        ),
    )


def _job(state: SlotState, job: str) -> str:
    return job if state in (SlotState.BUSY, SlotState.FINISHING) else ""
