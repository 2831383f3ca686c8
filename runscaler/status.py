"""Typed snapshots of a running system: what status, health and the pages show. Frozen all the way down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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


HEALTHZ_KEY = "healthz key"
"""In the metadata of a counter's field: its key in `/healthz`. A counter without one is not shown there."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What one scale set has counted since the program started. A restarted actor goes on from these.

    To add a counter, add a field here and call `plus` where the thing to count happens.
    """

    jobs_started: int = field(default=0, metadata={HEALTHZ_KEY: "jobs_started"})
    """Jobs that GitHub reported as started on a runner of this scale set."""
    jobs_completed: int = field(default=0, metadata={HEALTHZ_KEY: "jobs_completed"})
    """Jobs that GitHub reported as completed, whatever their result."""
    runners_started: int = 0
    """Runners whose resource came up."""
    runners_failed: int = 0
    """Runners that did not start, or ended by themselves without having run a job."""

    def plus(self, **more: int) -> Counters:
        """A copy with the named counters increased. Raises `AttributeError` for an unknown name."""
        return replace(self, **{name: getattr(self, name) + count for name, count in more.items()})


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
    counters: Counters = Counters()
    available_jobs: int = 0
    assigned_jobs: int = 0
    running_jobs: int = 0
    unmet: tuple[UnmetDemand, ...] = ()
    restarts: int = 0
    last_poll: float | None = None
    """Wall-clock seconds of the last completed poll; None before the first."""
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
