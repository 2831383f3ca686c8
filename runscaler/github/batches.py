"""Decodes a message of the queue (docs/protocol.md § 5.2, 5.3). One bad job message does not spoil the rest.

Only a message without a usable id is an error (`ValueError`, fault F9). Everything else that cannot be
read becomes a line in `Batch.problems`, and the message is still acknowledged (faults F47, F49, F51). A job
message is lost only by a wrong type of what decides: its own type, `jobId`, `runnerRequestId` and
`runnerName` (fault F90).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from runscaler.github.counts import statistics
from runscaler.github.fields import Fields, JsonValue, escaped, json_type, parse_json
from runscaler.github.messages import (
    Batch,
    JobAssigned,
    JobAvailable,
    JobCompleted,
    JobEvent,
    JobStarted,
    Statistics,
)

if TYPE_CHECKING:
    from collections.abc import Callable

JOB_MESSAGES = "RunnerScaleSetJobMessages"
MAX_PROBLEMS = 10


class _JobFacts(TypedDict):
    job_id: str
    request_id: int
    repository: str
    owner: str
    workflow_ref: str
    display_name: str
    run_id: int
    event_name: str
    request_labels: tuple[str, ...]
    queued_at: float | None
    assigned_at: float | None
    runner_assigned_at: float | None
    finished_at: float | None


def batch(value: JsonValue) -> Batch:
    """Raises `ValueError` if there is no id to acknowledge it by."""
    fields = Fields(value, "the message")
    number = fields.required("messageId")
    problems: list[str] = []
    counts = _statistics(fields, problems)
    events: tuple[JobEvent, ...] = ()
    kind = fields.raw("messageType")
    if isinstance(kind, str) and kind.lower() != JOB_MESSAGES.lower():
        problems.append(f"unknown message type {escaped(kind, 60)!r}")
    else:
        events = _events(fields.raw("body"), problems)
    return Batch(number, counts, events, _bounded(problems))


def _statistics(fields: Fields, problems: list[str]) -> Statistics | None:
    try:
        return statistics(fields.raw("statistics"))
    except ValueError as error:
        problems.append(f"statistics: {escaped(str(error))}")
        return None


def _events(body: JsonValue, problems: list[str]) -> tuple[JobEvent, ...]:
    try:
        elements = _elements(body)
    except ValueError as error:
        problems.append(f"body: {escaped(str(error))}")
        return ()
    events = []
    for position, element in enumerate(elements):
        try:
            events.append(job_event(element))
        except ValueError as error:
            problems.append(f"job message {position}: {escaped(str(error))}")
    return tuple(events)


def _elements(body: JsonValue) -> list[JsonValue]:
    """The body is a string that holds a JSON array. It may be empty or absent."""
    if body is None or body == "":
        return []
    elements = parse_json(body) if isinstance(body, str) else body
    if elements is None:
        return []
    if not isinstance(elements, list):
        raise ValueError(f"it holds {json_type(elements)}, not a list")
    return elements


def job_event(value: JsonValue) -> JobEvent:
    """One job message. Raises `ValueError` if its type is unknown or what decides has the wrong type."""
    fields = Fields(value, "it")
    kind = fields.text("messageType")
    make = _MAKERS.get(kind.lower())
    if make is None:
        raise ValueError(f"unknown job message type {escaped(kind, 60)!r}")
    return make(fields)


def _facts(fields: Fields) -> _JobFacts:
    return {
        "job_id": fields.text("jobId"),
        "request_id": fields.id_number("runnerRequestId"),
        "repository": fields.info_text("repositoryName"),
        "owner": fields.info_text("ownerName"),
        "workflow_ref": fields.info_text("jobWorkflowRef"),
        "display_name": fields.info_text("jobDisplayName"),
        "run_id": fields.info_number("workflowRunId"),
        "event_name": fields.info_text("eventName"),
        "request_labels": fields.info_texts("requestLabels"),
        "queued_at": fields.info_time("queueTime"),
        "assigned_at": fields.info_time("scaleSetAssignTime"),
        "runner_assigned_at": fields.info_time("runnerAssignTime"),
        "finished_at": fields.info_time("finishTime"),
    }


def job_available(fields: Fields) -> JobAvailable:
    return JobAvailable(**_facts(fields))


def _assigned(fields: Fields) -> JobAssigned:
    return JobAssigned(**_facts(fields))


def _started(fields: Fields) -> JobStarted:
    return JobStarted(
        **_facts(fields), runner_id=fields.info_number("runnerId"), runner_name=fields.text("runnerName")
    )


def _completed(fields: Fields) -> JobCompleted:
    return JobCompleted(
        **_facts(fields),
        result=fields.info_text("result"),
        runner_id=fields.info_number("runnerId"),
        runner_name=fields.text("runnerName"),
    )


_MAKERS: dict[str, Callable[[Fields], JobEvent]] = {
    "jobavailable": job_available,
    "jobassigned": _assigned,
    "jobstarted": _started,
    "jobcompleted": _completed,
}


def _bounded(problems: list[str]) -> tuple[str, ...]:
    kept = problems[:MAX_PROBLEMS]
    if len(problems) > MAX_PROBLEMS:
        kept.append(f"and {len(problems) - MAX_PROBLEMS} more")
    return tuple(kept)
