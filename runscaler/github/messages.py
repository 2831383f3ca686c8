"""What GitHub sends, as frozen values (docs/protocol.md § 4.3, 5.2–5.4); `decode` and `batches` read it.

This module imports the standard library only, because the simulator uses it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Statistics:
    """GitHub's counts of the scale set's jobs and runners (docs/protocol.md § 5.4). Scale on `assigned`."""

    available: int = 0
    acquired: int = 0
    assigned: int = 0
    running: int = 0
    registered: int = 0
    busy: int = 0
    idle: int = 0


@dataclass(frozen=True, slots=True)
class RunnerScaleSet:
    """A scale set at GitHub. `labels` are names only.

    What the reply did not tell is None, an empty `name`, or a `runner_group_id` of 0.
    """

    id: int
    name: str
    runner_group_id: int
    runner_group_name: str = ""
    labels: tuple[str, ...] | None = None
    statistics: Statistics | None = None
    updates_disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class RegisteredRunner:
    """A runner's registration. `scale_set_id` is 0 and `busy` is None if the reply did not say."""

    id: int
    name: str
    scale_set_id: int = 0
    status: str = ""
    busy: bool | None = None


@dataclass(frozen=True, slots=True)
class JobMessage:
    """What all job messages carry (docs/protocol.md § 5.3). Times are seconds since the epoch, None: not yet.

    The texts are untrusted: escape and shorten them wherever they are shown.
    """

    job_id: str
    request_id: int = 0
    repository: str = ""
    owner: str = ""
    workflow_ref: str = ""
    display_name: str = ""
    run_id: int = 0
    event_name: str = ""
    request_labels: tuple[str, ...] = ()
    queued_at: float | None = None
    assigned_at: float | None = None
    runner_assigned_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class JobAvailable(JobMessage):
    """A job that may be acquired by its `request_id` (docs/protocol.md § 6)."""


@dataclass(frozen=True, slots=True)
class JobAssigned(JobMessage):
    """The job is assigned to the scale set: `Statistics.assigned` counts it."""


@dataclass(frozen=True, slots=True)
class JobStarted(JobMessage):
    """A runner has the job."""

    runner_id: int = 0
    runner_name: str = ""


@dataclass(frozen=True, slots=True)
class JobCompleted(JobMessage):
    """The job has ended, or its assignment was withdrawn: `runner_id` 0 and no name mean no runner had it."""

    result: str = ""
    runner_id: int = 0
    runner_name: str = ""


JobEvent: TypeAlias = JobAvailable | JobAssigned | JobStarted | JobCompleted


@dataclass(frozen=True, slots=True)
class Batch:
    """One message of the queue: its id, statistics (None: unknown, not zero) and job messages.

    `problems` are one-line descriptions of what could not be read, escaped and shortened. What could be
    read is in `events` all the same (fault F51).
    """

    id: int
    statistics: Statistics | None
    events: tuple[JobEvent, ...] = ()
    problems: tuple[str, ...] = ()
