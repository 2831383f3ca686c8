"""The JSON bodies that the simulated GitHub sends (docs/protocol.md § 4.3, 5.2, 5.3), as plain values."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runscaler.simulator.things import JobState, RunnerState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runscaler.simulator.things import Job, Message, Runner, ScaleSet, Session

Json = dict[str, object]

NOT_YET = "0001-01-01T00:00:00Z"


def timestamp(seconds: float) -> str:
    """RFC 3339 as .NET writes it: up to 7 digits of fraction, none when it is whole; 0 is the year 1."""
    if not seconds:
        return NOT_YET
    whole = datetime.fromtimestamp(seconds, tz=UTC)
    fraction = f"{whole.microsecond:06d}0".rstrip("0")
    return whole.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"


def statistics(scale_set: ScaleSet) -> Json:
    """Counted from the states (docs/protocol.md § 9.3)."""
    jobs, runners = scale_set.jobs, scale_set.runners
    alive = sum(count for state, count in runners.items() if state is not RunnerState.GONE)
    return {
        "totalAvailableJobs": jobs[JobState.AVAILABLE],
        "totalAcquiredJobs": jobs[JobState.ACQUIRED],
        "totalAssignedJobs": scale_set.assigned,
        "totalRunningJobs": jobs[JobState.RUNNING],
        "totalRegisteredRunners": alive,
        "totalBusyRunners": runners[RunnerState.BUSY],
        "totalIdleRunners": runners[RunnerState.IDLE],
    }


def scale_set_body(scale_set: ScaleSet, group_name: str, base: str) -> Json:
    """`base` is the actions service's URL, with a final slash."""
    own = f"{base}_apis/runtime/runnerscalesets/{scale_set.id}"
    return {
        "id": scale_set.id,
        "name": scale_set.name,
        "runnerGroupId": scale_set.group,
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
        "status": "online" if scale_set.live_session else "offline",
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
    """What get and list say beyond that (known from another client only)."""
    online = runner.state in (RunnerState.IDLE, RunnerState.BUSY)
    return {
        **runner_body(runner),
        "status": "online" if online else "offline",
        "busy": runner.state is RunnerState.BUSY,
        "ephemeral": True,
        "enabled": True,
    }


def listing(values: Sequence[object]) -> Json:
    return {"count": len(values), "value": list(values)}


def group_body(number: int, name: str, size: int) -> Json:
    return {"id": number, "name": name, "size": size, "isDefaultGroup": number == 1}


def message_body(message: Message, scale_set: ScaleSet) -> Json:
    """The body was frozen when the message was formed; the statistics are those of now."""
    return {
        "messageId": message.id,
        "messageType": "RunnerScaleSetJobMessages",
        "statistics": statistics(scale_set),
        "body": json.dumps(message.events, separators=(",", ":")),
    }


def job_message(kind: str, job: Job, more: Mapping[str, object], *, numbered: bool) -> Json:
    """`numbered`: with the runnerRequestId, which is 0 on the newer service (docs/protocol.md § 5.3)."""
    owner, _, repository = job.order.repository.partition("/")
    return {
        "messageType": kind,
        "runnerRequestId": job.number if numbered else 0,
        "repositoryName": repository,
        "ownerName": owner,
        "jobId": job.id,
        "jobWorkflowRef": f"{owner}/{repository}/.github/workflows/ci.yml@refs/heads/main",
        "jobDisplayName": job.order.display_name,
        "workflowRunId": job.run_id,
        "eventName": job.order.event_name,
        "requestLabels": list(job.order.labels),
        "queueTime": timestamp(job.queued_at),
        "scaleSetAssignTime": timestamp(job.assigned_at),
        "runnerAssignTime": timestamp(job.runner_assigned_at),
        "finishTime": timestamp(job.finished_at),
        **more,
    }


def acquirable_job(job: Job, acquire_url: str) -> Json:
    """A job that may be acquired: JobAvailable without job id, times, display name and run id (4.2)."""
    left_out = (
        "jobId",
        "queueTime",
        "scaleSetAssignTime",
        "runnerAssignTime",
        "finishTime",
        "jobDisplayName",
        "workflowRunId",
    )
    whole = job_message("JobAvailable", job, {"acquireJobUrl": acquire_url}, numbered=True)
    return {key: value for key, value in whole.items() if key not in left_out}
