"""Typed, immutable snapshots of a running system, as shown by `runner status` and the health port."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from runscaler.names import ScaleSetKey

if TYPE_CHECKING:
    from collections.abc import Mapping


class SetState(StrEnum):
    """The state of a scale set. The `reason` beside it says why it is not `OK`, or what it waits for."""

    STARTING = "starting"
    OK = "ok"
    STANDBY = "standby"
    DEGRADED = "degraded"
    DRAINING = "draining"
    FAILED = "failed"
    STOPPED = "stopped"


def state_in_words(state: SetState, reason: str) -> str:
    """The state with its reason. A set may serve before its image is there: then it starts no runner yet."""
    if not reason:
        return str(state)
    return f"ok, but starts no runner yet: {reason}" if state is SetState.OK else f"{state}: {reason}"


class Unmet(StrEnum):
    """Why a wanted runner is not being started (docs/behaviour.md § 6.6). The list is complete."""

    MAX_RUNNERS = "max_runners"
    HOST_GUARD = "host_guard"
    HOST_CAP = "host_cap"
    BACKOFF = "backoff"
    RATE_LIMIT = "rate_limit"
    BACKEND_DOWN = "backend_down"
    VM_LIMIT = "vm_limit"
    PAUSED = "paused"


class DegradedReason(StrEnum):
    """What degrades a scale set; several may hold at once. The list is complete."""

    FAILING_STARTS = "failing_starts"
    BACKEND_DOWN = "backend_down"
    GITHUB = "github"
    AUTH = "auth"
    IMAGE = "image"
    RUNNER_OUTDATED = "runner_outdated"
    POISON_MESSAGE = "poison_message"


@dataclass(frozen=True, slots=True)
class UnmetDemand:
    """`count` runners are wanted but not being started, because of `reason`, which is looked at again at
    `look_at` in wall-clock seconds (None: whenever something happens)."""

    reason: Unmet
    count: int
    detail: str = ""
    look_at: float | None = None


@dataclass(frozen=True, slots=True)
class JobOrigin:
    """Where a job comes from, as far as GitHub told: texts are empty and numbers 0 where it did not.

    `repository` is "owner/name"; `workflow` is the file and branch,
    "owner/name/.github/workflows/ci.yml@refs/heads/main"; `workflow_run_id` is the number in the run's URL.
    """

    repository: str = ""
    workflow: str = ""
    workflow_run_id: int = 0


@dataclass(frozen=True, slots=True)
class StartPhases:
    """How many seconds each phase of a runner's start took; None: not over yet, not told, or there is none.

    The start begins when the demand is seen. An adopted runner has no phases.
    """

    wait: float | None = None
    """Until its slot's actor began: a place on the host, the queue."""
    jit: float | None = None
    """GitHub's answer with the JIT configuration."""
    create: float | None = None
    """Making the resource."""
    boot: float | None = None
    """Of a VM only: until its guest answers."""
    start: float | None = None
    """Until the resource runs."""
    register: float | None = None
    """From then until GitHub shows the runner, or gives it a job."""
    job: float | None = None
    """From then, too, until its job."""

    @property
    def up(self) -> float:
        """From the demand until the resource runs, as far as the phases are over."""
        return sum(one or 0.0 for one in (self.wait, self.jit, self.create, self.boot, self.start))


NO_PHASES = StartPhases()


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """One slot in use. `since` is the time of its last state change in wall-clock seconds.

    `job`, its name, and `origin` are empty unless it runs a job that GitHub has told of.
    """

    slot: int
    state: str
    runner: str
    job: str
    since: float
    origin: JobOrigin = JobOrigin()
    phases: StartPhases = NO_PHASES


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
    runners_lost: int = 0
    """Runners that died in their job: killed, out of memory, a crash of the guest."""

    def plus(self, **more: int) -> Counters:
        """A copy with the named counters increased. Raises `AttributeError` for an unknown name."""
        return replace(self, **{name: getattr(self, name) + count for name, count in more.items()})


@dataclass(frozen=True, slots=True)
class Opening:
    """One time that a window of a schedule opens: the number of its entry, from 1, and the limits while it is
    open. Wall-clock seconds; `timezone` is that of its cron expression."""

    entry: int
    opens_at: float
    closes_at: float
    timezone: str
    min: int
    max: int


@dataclass(frozen=True, slots=True)
class ScaleSetStatus:
    """One scale set. From `available_jobs` to `idle_runners` the numbers are GitHub's statistics; all others
    are our own."""

    name: str
    url: str
    runner_group: str
    backend: str
    state: SetState
    reason: str = ""
    retry_at: float | None = None
    """When what keeps it from serving is tried again, in wall-clock seconds; None: nothing does, or it is not
    known."""
    state_since: float | None = None
    """When it came into that state, in wall-clock seconds; None before its first snapshot."""
    waiting_since: float | None = None
    """Since when jobs have waited without a break, as above; None: none waits."""
    idle: int = 0
    busy: int = 0
    starting: int = 0
    total: int = 0
    max: int = 0
    min: int = 0
    window: Opening | None = None
    """The window of the schedule whose limits are in force: `min` and `max` are its own then."""
    next_window: Opening | None = None
    """The next one that opens."""
    desired_runners: int = 0
    counters: Counters = Counters()
    available_jobs: int = 0
    acquired_jobs: int = 0
    assigned_jobs: int = 0
    running_jobs: int = 0
    registered_runners: int = 0
    busy_runners: int = 0
    idle_runners: int = 0
    statistics_at: float | None = None
    """When GitHub's statistics last came, in wall-clock seconds; None before the first."""
    unmet: tuple[UnmetDemand, ...] = ()
    restarts: int = 0
    last_poll: float | None = None
    """Time of the last completed poll in wall-clock seconds; None before the first."""
    last_message: float | None = None
    """The same of the last message."""
    session: bool = False
    """We hold its message session."""
    image_checked_at: float | None = None
    """When its runner image was last pulled, or found to be there; as above."""
    image_built_at: float | None = None
    """When that image was built, as the backend says; None if it does not."""
    leftovers: int = 0
    """Its ended runners that could not be removed yet; that is tried again."""
    announced_capacity: int = 0
    """The maximum number of runners that GitHub was told last."""
    windows: tuple[tuple[str, bool], ...] = ()
    """The entries of its schedule, counted from 1, and whether each is in force now."""
    degraded_by: tuple[DegradedReason, ...] = ()
    """All that degrades it; `reason` tells of one."""
    by_state: Mapping[str, int] = field(default_factory=dict)
    """How many slots are in each state."""
    actors: int = 0
    """Runner actors that are up."""
    listening: bool = False
    """Its listener is up."""
    slots: tuple[SlotStatus, ...] = ()
    typical_start: StartPhases = NO_PHASES
    """The median of each phase over the latest starts."""

    @property
    def jobs_wait(self) -> bool:
        """Whether GitHub counts jobs that no runner has begun."""
        return self.assigned_jobs > self.running_jobs

    @property
    def key(self) -> ScaleSetKey:
        return ScaleSetKey.of(self.url, self.runner_group, self.name)


@dataclass(frozen=True, slots=True)
class Status:
    """The whole process. `scale_sets` are in the order of the configuration, followed by those that are not
    configured any more and still have runners.

    `restarts` counts the restarts of each shared actor by name. `given_up` is empty unless a shared actor
    has given up; then it is the reason, and the process is about to end.
    """

    version: str
    started_at: float
    """Wall-clock seconds."""
    scale_sets: tuple[ScaleSetStatus, ...] = ()
    restarts: dict[str, int] = field(default_factory=dict)
    given_up: str = ""

    @property
    def degraded(self) -> bool:
        """Whether any scale set is degraded or failed."""
        return any(one.state in {SetState.DEGRADED, SetState.FAILED} for one in self.scale_sets)
