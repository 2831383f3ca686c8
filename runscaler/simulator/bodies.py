"""The JSON bodies that the simulated GitHub sends (docs/protocol.md § 4.3, 5.2, 5.3)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runscaler.github.messages import JobAvailable, JobCompleted, JobStarted
from runscaler.simulator.events import job_event
from runscaler.simulator.records import UnknownEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.github.messages import JobEvent, Statistics
    from runscaler.simulator.records import Event, Job, Message, Runner, ScaleSet, Session

Json = dict[str, object]

NOT_YET = "0001-01-01T00:00:00Z"


def timestamp(seconds: float | None) -> str:
    """RFC 3339 as .NET writes it: a fraction only where there is one; the year 1 for "not yet"."""
    if not seconds:
        return NOT_YET
    text = datetime.fromtimestamp(seconds, tz=UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def statistics(scale_set: ScaleSet, told: Statistics | None = None) -> Json:
    counts = told or scale_set.statistics
    return {
        "totalAvailableJobs": counts.available,
        "totalAcquiredJobs": counts.acquired,
        "totalAssignedJobs": counts.assigned,
        "totalRunningJobs": counts.running,
        "totalRegisteredRunners": counts.registered,
        "totalBusyRunners": counts.busy,
        "totalIdleRunners": counts.idle,
    }


def scale_set_body(scale_set: ScaleSet, group_name: str, base: str) -> Json:
    """`base` is the URL of the actions service, with a final slash."""
    own = f"{base}_apis/runtime/runnerscalesets/{scale_set.id}"
    return {
        "id": scale_set.id,
        "name": scale_set.name,
        "runnerGroupId": scale_set.group_id,
        "runnerGroupName": group_name,
        "labels": [
            {"id": number, "name": name, "type": kind}
            for number, (name, kind) in enumerate(scale_set.labels, start=1)
        ],
        "RunnerSetting": {"disableUpdate": scale_set.disable_update},
        "createdOn": timestamp(scale_set.created_at),
        "runnerJitConfigUrl": f"{own}/generatejitconfig",
        "getAcquirableJobsUrl": f"{own}/acquirablejobs",
        "acquireJobsUrl": f"{own}/acquirejobs",
        "status": "online" if scale_set.session else "offline",
        "enabled": True,
        "statistics": statistics(scale_set),
    }


def session_body(session: Session, scale_set: Json, queue_url: str) -> Json:
    return {
        "sessionId": session.id,
        "ownerName": session.owner,
        "runnerScaleSet": scale_set,
        "messageQueueUrl": queue_url,
        "messageQueueAccessToken": session.token,
        "statistics": statistics(session.scale_set),
    }


def runner_body(runner: Runner) -> Json:
    return {"id": runner.id, "name": runner.name, "runnerScaleSetId": runner.scale_set.id}


def listed_runner_body(runner: Runner) -> Json:
    """The additional fields of get and list (known from another client only)."""
    return {
        **runner_body(runner),
        "status": "online" if runner.online else "offline",
        "busy": runner.busy,
        "ephemeral": True,
        "enabled": True,
    }


def rest_runner_body(runner: Runner) -> Json:
    """A runner as the REST API lists it."""
    names = runner.scale_set.label_names
    return {
        "id": runner.id,
        "name": runner.name,
        "os": "unknown",
        "status": "online" if runner.online else "offline",
        "busy": runner.busy,
        "ephemeral": True,
        "labels": [{"id": number, "name": name, "type": "read-only"} for number, name in enumerate(names, 1)],
    }


def listing(values: Sequence[object]) -> Json:
    return {"count": len(values), "value": list(values)}


def group_body(number: int, name: str, size: int) -> Json:
    return {"id": number, "name": name, "size": size, "isDefaultGroup": number == 1}


def message_body(message: Message, scale_set: ScaleSet) -> Json:
    """The events are as they were when they happened, the statistics as they are now, and missing while the
    set announces capacity 0."""
    acquire_url = f"/_apis/runtime/runnerscalesets/{scale_set.id}/acquirejobs"
    events = [job_message(event, acquire_url) for event in message.events]
    counts = {} if scale_set.deaf else {"statistics": statistics(scale_set, message.statistics)}
    return {
        "messageId": message.id,
        "messageType": "RunnerScaleSetJobMessages",
        **counts,
        "body": json.dumps(events, separators=(",", ":")),
    }


def job_message(event: Event, acquire_url: str) -> Json:
    """`acquire_url` is where an offered job can be acquired."""
    if isinstance(event, UnknownEvent):
        return {"messageType": event.kind}
    return {
        "messageType": type(event).__name__,
        "runnerRequestId": event.request_id,
        "repositoryName": event.repository,
        "ownerName": event.owner,
        "jobId": event.job_id,
        "jobWorkflowRef": event.workflow_ref,
        "jobDisplayName": event.display_name,
        "workflowRunId": event.run_id,
        "eventName": event.event_name,
        "requestLabels": list(event.request_labels),
        "queueTime": timestamp(event.queued_at),
        "scaleSetAssignTime": timestamp(event.assigned_at),
        "runnerAssignTime": timestamp(event.runner_assigned_at),
        "finishTime": timestamp(event.finished_at),
        **_own_fields(event, acquire_url),
    }


def _own_fields(event: JobEvent, acquire_url: str) -> Json:
    """The fields that only this kind of event has."""
    match event:
        case JobAvailable():
            return {"acquireJobUrl": acquire_url}
        case JobStarted():
            return {"runnerId": event.runner_id, "runnerName": event.runner_name}
        case JobCompleted():
            return {"runnerId": event.runner_id, "runnerName": event.runner_name, "result": event.result}
        case _:
            return {}


def acquirable_job(job: Job, acquire_url: str) -> Json:
    """An offered job: JobAvailable without job id, times, display name and run id
    (docs/protocol.md § 4.2)."""
    left_out = (
        "jobId",
        "queueTime",
        "scaleSetAssignTime",
        "runnerAssignTime",
        "finishTime",
        "jobDisplayName",
        "workflowRunId",
    )
    whole = job_message(job_event(JobAvailable, job, numbered=True), acquire_url)
    return {key: value for key, value in whole.items() if key not in left_out}
