"""Faults of job messages that come early, late, wrongly or never (docs/protocol.md § 10.4, 10.7, 10.8)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from runscaler.github.messages import JobAssigned, JobAvailable, JobCompleted, JobStarted
from runscaler.simulator.faults.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.github.messages import JobEvent
    from runscaler.simulator.faults.row import FaultContext
    from runscaler.simulator.records import Job, ScaleSet

    Change = Callable[[ScaleSet, JobEvent], list[JobEvent] | None]


def intercept(context: FaultContext, change: Change, follow: Change = lambda *_: None) -> None:
    """Pass each new event through `change`; where that returns None, the event is queued unchanged and is
    no hit. `follow` sees the events first, and also once the fault is exhausted: it changes the later events
    of a job that `change` has hit."""
    fault = context.fault
    wanted = fault.match.scale_set.lower()

    def intercepted(scale_set: ScaleSet, event: JobEvent) -> list[JobEvent]:
        followed = follow(scale_set, event)
        if followed is not None:
            return followed
        if fault.exhausted or (wanted and scale_set.name.lower() != wanted):
            return [event]
        result = change(scale_set, event)
        if result is None:
            return [event]
        fault.hits += 1
        context.lock.machine.store.note("fault", fault=fault.row.name, messageType=type(event).__name__)
        return result

    with context.lock as machine:
        machine.message_queue.interceptors[fault.id] = intercepted


def release(context: FaultContext) -> None:
    with context.lock as machine:
        machine.message_queue.interceptors.pop(context.fault.id, None)


def completed_first(context: FaultContext) -> None:
    """Hold JobStarted back until after its JobCompleted."""
    held: dict[str, JobEvent] = {}

    def change(_: ScaleSet, event: JobEvent) -> list[JobEvent] | None:
        if isinstance(event, JobStarted):
            held[event.job_id] = event
            return []
        return None

    def follow(_: ScaleSet, event: JobEvent) -> list[JobEvent] | None:
        if isinstance(event, JobCompleted) and event.job_id in held:
            return [event, held.pop(event.job_id)]
        return None

    intercept(context, change, follow)


def started_late(context: FaultContext) -> None:
    """Delay JobStarted by `seconds` (3600)."""
    store, message_queue = context.lock.machine.store, context.lock.machine.message_queue
    seconds = context.params.number("seconds", 3600.0)

    def change(scale_set: ScaleSet, event: JobEvent) -> list[JobEvent] | None:
        if not isinstance(event, JobStarted):
            return None
        store.deadlines.after(seconds, lambda: message_queue.post(scale_set, event))
        return []

    intercept(context, change)


def completed_wrongly(context: FaultContext, result: str) -> None:
    """Send a JobCompleted right after JobStarted, although the job goes on."""

    def change(_: ScaleSet, event: JobEvent) -> list[JobEvent] | None:
        if not isinstance(event, JobStarted):
            return None
        return [event, JobCompleted(**asdict(event), result=result)]

    intercept(context, change)


def withheld(context: FaultContext) -> None:
    """Delay JobStarted and JobCompleted of a job by `seconds` (360) each; if `lost`, they never come."""
    store, message_queue = context.lock.machine.store, context.lock.machine.message_queue
    seconds, lost = context.params.number("seconds", 360.0), context.params.truth("lost", False)
    chosen: set[str] = set()

    def withhold(scale_set: ScaleSet, event: JobEvent) -> list[JobEvent]:
        if not lost:
            store.deadlines.after(seconds, lambda: message_queue.post(scale_set, event))
        return []

    def change(scale_set: ScaleSet, event: JobEvent) -> list[JobEvent] | None:
        if not isinstance(event, JobStarted):
            return None
        chosen.add(event.job_id)
        return withhold(scale_set, event)

    def follow(scale_set: ScaleSet, event: JobEvent) -> list[JobEvent] | None:
        ended = isinstance(event, JobCompleted) and event.job_id in chosen
        return withhold(scale_set, event) if ended else None

    intercept(context, change, follow)


def offer_lost(context: FaultContext) -> None:
    """Send no JobAvailable for a job that is offered."""
    intercept(context, lambda _, event: [] if isinstance(event, JobAvailable) else None)


def on_assignment(context: FaultContext, change: Callable[[Job], None]) -> None:
    """Change a job as it is assigned."""
    store = context.lock.machine.store

    def marked(_: ScaleSet, event: JobEvent) -> list[JobEvent] | None:
        if not isinstance(event, JobAssigned):
            return None
        change(store.job_ids[event.job_id])
        return [event]

    intercept(context, marked)


def lingering(job: Job) -> None:
    job.lingers = True


def bound(job: Job) -> None:
    job.never_begins = True


ROWS: tuple[Row, ...] = (
    Row(
        "F43",
        "JobCompleted before JobStarted",
        begin=completed_first,
        end=release,
        counts_own_hits=True,
    ),
    Row("F44", "JobStarted comes `seconds` late", begin=started_late, end=release, counts_own_hits=True),
    Row(
        "F45",
        "JobStarted and JobCompleted (canceled) at once, while the runner lives on",
        begin=lambda context: completed_wrongly(context, "canceled"),
        end=release,
        counts_own_hits=True,
    ),
    Row(
        "F46",
        "JobCompleted while the job still runs",
        begin=lambda context: completed_wrongly(context, "succeeded"),
        end=release,
        counts_own_hits=True,
    ),
    Row(
        "F87",
        "JobStarted and JobCompleted of a job come `seconds` late, or never if `lost`",
        begin=withheld,
        end=release,
        counts_own_hits=True,
    ),
    Row(
        "F88",
        "JobCompleted never comes, and the agent goes on living after its job",
        begin=lambda context: on_assignment(context, lingering),
        end=release,
        counts_own_hits=True,
    ),
    Row("F89", "an offer is lost", begin=offer_lost, end=release, counts_own_hits=True),
    Row(
        "bound",
        "a job is bound to a runner that never begins it",
        begin=lambda context: on_assignment(context, bound),
        end=release,
        counts_own_hits=True,
    ),
)
