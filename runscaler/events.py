"""What happened, typed: for embedders, the log and the pages. Plain values, safe to print."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`at` is wall-clock seconds; `scale_set` the set's name, empty for what all share."""

    at: float
    scale_set: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerEvent(Event):
    slot: int
    runner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerStarted(RunnerEvent):
    """The runner's resource runs; `seconds` since its start was ordered."""

    resource: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerAdopted(RunnerEvent):
    """A resource that an earlier process or a crashed actor left running was taken over."""

    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerFailed(RunnerEvent):
    """It could not be started, or ended before a job. `reason` is the whole line for people."""

    reason: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerRemoved(RunnerEvent):
    """Its resource is gone; `reason` says why it was time."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(RunnerEvent):
    job_id: str
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted(RunnerEvent):
    """`seconds` is the run time as GitHub tells it, None where it does not."""

    job_id: str
    job: str
    result: str
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSetChanged(Event):
    """The set's state or its reason changed."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorRestarted(Event):
    """A crashed actor is back (or was given up); `name` as in status."""

    name: str
    reason: str
    gave_up: bool = False
