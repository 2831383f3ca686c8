"""Counts what the messages tell about jobs, each event once, whatever it means for our runners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.actors.scale_set.job_texts import seconds_between
from runscaler.github.messages import JobAssigned, JobAvailable, JobCompleted, JobStarted
from runscaler.metrics import own
from runscaler.metrics.jobs import JobWords
from runscaler.metrics.words import MessageKind

if TYPE_CHECKING:
    from runscaler.actors.messages import BatchReceived
    from runscaler.github.messages import JobEvent
    from runscaler.metrics.scale_set import ScaleSetMetrics

_KINDS = {
    JobAvailable: MessageKind.AVAILABLE,
    JobAssigned: MessageKind.ASSIGNED,
    JobStarted: MessageKind.STARTED,
    JobCompleted: MessageKind.COMPLETED,
}


def count_batch(metrics: ScaleSetMetrics, batch: BatchReceived, now: float) -> None:
    """`now` is in wall-clock seconds. A batch that comes again, in whatever session, changes nothing."""
    for position, event in enumerate(batch.events):
        if metrics.is_new(_identity(event, batch.batch_id, position)):
            _count(metrics, event, now)
    for position, _ in enumerate(batch.problems):
        if metrics.is_new(("unknown", batch.batch_id, position)):
            metrics.count(own.MESSAGES, MessageKind.UNKNOWN)


def _identity(event: JobEvent, batch_id: int, position: int) -> object:
    """By job and runner, as message ids begin anew with a session; by message where there is no job id."""
    kind = type(event)
    if isinstance(event, JobStarted | JobCompleted) and event.job_id:
        return kind, event.job_id, event.runner_id or event.runner_name
    if event.job_id or event.request_id:
        return kind, event.job_id, event.request_id
    return kind, batch_id, position


def _count(metrics: ScaleSetMetrics, event: JobEvent, now: float) -> None:
    kind = _KINDS[type(event)]
    metrics.count(own.MESSAGES, kind)
    if (at := _own_time(event)) is not None:
        metrics.observe(own.MESSAGE_LAG, now - at, kind)
    if isinstance(event, JobStarted):
        metrics.job_started(_words(event), _seconds(event.assigned_at, event.runner_assigned_at))
        queued = seconds_between(event.queued_at, event.runner_assigned_at)
        if queued is not None:
            metrics.observe(own.QUEUE_SECONDS, queued)
    elif isinstance(event, JobCompleted) and event.runner_assigned_at is not None:
        ran = _seconds(event.runner_assigned_at, event.finished_at)
        metrics.job_completed(_words(event, event.result), ran)


def _own_time(event: JobEvent) -> float | None:
    if isinstance(event, JobAssigned):
        return event.assigned_at
    if isinstance(event, JobStarted):
        return event.runner_assigned_at
    return event.finished_at if isinstance(event, JobCompleted) else None


def _words(event: JobEvent, result: str = "") -> JobWords:
    return JobWords(
        event.owner, event.repository, event.display_name, event.event_name, result, event.workflow_ref
    )


def _seconds(begin: float | None, end: float | None) -> float | None:
    """None where a time is missing; 0 where they are in the wrong order."""
    return None if begin is None or end is None else max(0.0, end - begin)
