"""Typed events for embedding programs, the log and the demo. Plain values without secrets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`at` is wall-clock seconds; `scale_set` is the set's name, empty for shared components."""

    at: float
    scale_set: str = ""


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
class JobStarted(RunnerEvent):
    job_id: str
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted(RunnerEvent):
    """`seconds` is the run time that GitHub reports; None if it reports none."""

    job_id: str
    job: str
    result: str
    seconds: float | None


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
