"""Typed events for embedding programs, the log and the demo. Plain values without secrets."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`at` is wall-clock seconds. `scale_set` is the set's name; `url` and `runner_group` tell sets of one
    name apart. All three are empty for shared components."""

    at: float
    scale_set: str = ""
    url: str = ""
    runner_group: str = ""

    def fields(self) -> dict[str, object]:
        """What a JSON log line about it has as fields: `event`, such as "job_started", and all but `at`."""
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        values = asdict(self)
        del values["at"]
        return {"event": name, **values}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerEvent(Event):
    slot: int
    runner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerStarted(RunnerEvent):
    """The runner's resource runs, `seconds` after its start was requested."""

    resource: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerAdopted(RunnerEvent):
    """A resource left running by an earlier process or a crashed actor was adopted."""

    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerFailed(RunnerEvent):
    """The runner did not start, or ended before it had a job. `reason` is a full sentence for people."""

    reason: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerRemoved(RunnerEvent):
    """The runner's resource is gone; `reason` says why it was removed."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent(RunnerEvent):
    """About a runner and its job. Texts are GitHub's, made printable and short; what it did not tell is empty
    or 0.

    `job` is its name, `repository` "owner/name", `workflow` the file and branch, `workflow_run_id` the number
    in the run's URL.
    """

    job_id: str
    job: str
    repository: str = ""
    workflow: str = ""
    workflow_run_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(JobEvent):
    """`seconds_queued` is the time from its queueing to its runner; None if GitHub did not tell."""

    seconds_queued: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted(JobEvent):
    """The job has ended with GitHub's `result`: "succeeded", "failed", "canceled".

    `seconds_run` is the run time, `seconds_queued` the time before it; None if GitHub did not tell.
    """

    result: str
    seconds_queued: float | None = None
    seconds_run: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerLost(JobEvent):
    """The runner died in its job, which is not over for GitHub yet. `reason` says how: exit code, signal,
    memory."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSetChanged(Event):
    """The scale set's state or its reason changed."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorRestarted(Event):
    """A crashed actor was restarted, or given up (`gave_up`). `name` is its name in the status."""

    name: str
    reason: str
    gave_up: bool = False
