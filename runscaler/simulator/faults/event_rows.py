"""Faults of job messages that come early, late or wrongly (docs/protocol.md § 10.4, F43 to F46)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from runscaler.github.messages import JobCompleted, JobStarted
from runscaler.simulator.faults.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.github.messages import JobEvent
    from runscaler.simulator.faults.row import FaultContext
    from runscaler.simulator.records import ScaleSet


def intercept(context: FaultContext, change: Callable[[ScaleSet, JobEvent], list[JobEvent] | None]) -> None:
    """Pass each new event through `change`; where that returns None, the event is queued unchanged and is
    no hit."""
    fault = context.fault
    wanted = fault.match.scale_set.lower()

    def intercepted(scale_set: ScaleSet, event: JobEvent) -> list[JobEvent]:
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
        if isinstance(event, JobCompleted) and event.job_id in held:
            return [event, held.pop(event.job_id)]
        return None

    intercept(context, change)


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


ROWS: tuple[Row, ...] = (
    Row(
        "F43",
        "JobCompleted before JobStarted",
        count=2,
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
)
