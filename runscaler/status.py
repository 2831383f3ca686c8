"""Typed snapshots of a running system: what status, health and the pages show. Frozen all the way down."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class SetState(StrEnum):
    """A scale set as a whole; `reason` beside it says why it is not simply `OK`."""

    STARTING = "starting"
    OK = "ok"
    STANDBY = "standby"
    DEGRADED = "degraded"
    DRAINING = "draining"
    FAILED = "failed"
    STOPPED = "stopped"


class Unmet(StrEnum):
    """Why something wanted is not being started: the closed list of docs/behaviour.md § 6.6."""

    MAX_RUNNERS = "max_runners"
    HOST_GUARD = "host_guard"
    HOST_CAP = "host_cap"
    BACKOFF = "backoff"
    RATE_LIMIT = "rate_limit"
    BACKEND_DOWN = "backend_down"
    VM_LIMIT = "vm_limit"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class UnmetDemand:
    """`count` runners are wanted and not being started because of `reason`."""

    reason: Unmet
    count: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """One slot in use. `since` is wall-clock seconds of its last change of state."""

    slot: int
    state: str
    runner: str
    job: str
    since: float


@dataclass(frozen=True, slots=True)
class ScaleSetStatus:
    """One scale set. Counts are ours unless named after GitHub's statistics (`*_jobs`)."""

    name: str
    url: str
    runner_group: str
    backend: str
    state: SetState
    reason: str = ""
    idle: int = 0
    busy: int = 0
    starting: int = 0
    total: int = 0
    max: int = 0
    min: int = 0
    desired_runners: int = 0
    jobs_started: int = 0
    jobs_completed: int = 0
    available_jobs: int = 0
    assigned_jobs: int = 0
    running_jobs: int = 0
    unmet: tuple[UnmetDemand, ...] = ()
    restarts: int = 0
    last_poll: float | None = None
    """Wall-clock seconds of the last completed poll; None before the first."""
    runners_started: int = 0
    runners_failed: int = 0
    slots: tuple[SlotStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """The whole process. `scale_sets` stand in the config's order.

    `restarts` counts those of the shared actors by name; `given_up` is the reason for which
    something that all share has given up (the process is about to end), else empty.
    """

    version: str
    started_at: float
    """Wall-clock seconds."""
    scale_sets: tuple[ScaleSetStatus, ...] = ()
    restarts: dict[str, int] = field(default_factory=dict)
    given_up: str = ""

    @property
    def degraded(self) -> bool:
        """Is any set not serving as it should? A standby is as it should be."""
        fine = {SetState.OK, SetState.STANDBY, SetState.STARTING, SetState.DRAINING, SetState.STOPPED}
        return any(one.state not in fine for one in self.scale_sets)
