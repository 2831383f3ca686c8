"""What `MemoryGitHub` keeps of a job, a registration and a session."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypedDict

from runscaler.github.messages import RegisteredRunner

if TYPE_CHECKING:
    from collections.abc import Callable


class JobState(StrEnum):
    """`PICKED` is a job that a runner was given and has not started yet."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    PICKED = "picked"
    RUNNING = "running"
    COMPLETED = "completed"


class RunnerState(StrEnum):
    """Where a registration is in its life (docs/protocol.md § 8.4)."""

    REGISTERED = "registered"
    IDLE = "idle"
    BUSY = "busy"
    OFFLINE = "offline"
    GONE = "gone"


class JobFacts(TypedDict):
    """What all messages about a job say."""

    job_id: str
    repository: str
    owner: str
    display_name: str
    queued_at: float | None
    assigned_at: float | None
    runner_assigned_at: float | None


@dataclass(slots=True, eq=False)
class MemoryJob:
    """A job and what became of it; `result` is empty until it is over."""

    id: str
    queued_at: float
    state: JobState = JobState.QUEUED
    assigned_at: float | None = None
    picked_at: float | None = None
    runner_id: int = 0
    runner_name: str = ""
    result: str = ""

    def facts(self) -> JobFacts:
        return {
            "job_id": self.id,
            "repository": "demo",
            "owner": "my-org",
            "display_name": "build",
            "queued_at": self.queued_at,
            "assigned_at": self.assigned_at,
            "runner_assigned_at": self.picked_at,
        }


@dataclass(slots=True, eq=False)
class MemoryRunner:
    """A registration; `on_job` is called when a job comes while it is idle."""

    id: int
    name: str
    scale_set_id: int
    state: RunnerState = RunnerState.REGISTERED
    job: MemoryJob | None = None
    on_job: Callable[[MemoryJob], None] | None = None

    def registered(self) -> RegisteredRunner:
        busy = self.state is RunnerState.BUSY
        status = "online" if busy or self.state is RunnerState.IDLE else "offline"
        return RegisteredRunner(self.id, self.name, self.scale_set_id, status, busy)


@dataclass(slots=True, eq=False)
class MemorySession:
    """A live message session; `token` changes with each refresh, `polls` counts those begun."""

    id: str
    owner: str
    token: str
    token_expired: bool = False
    polls: int = 0
