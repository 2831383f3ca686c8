"""What will happen in a run, as plain values. `at` is in seconds from the start of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class QueueJob:
    """`seconds` is how long the job takes on its runner."""

    at: float
    number: int
    scale_set: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BreakWire:
    """Inject a fault of docs/protocol.md § 10 at the simulator, for the next `count` calls that match.

    An empty `scale_set` or `path` matches any.
    """

    at: float
    fault: str
    count: int
    params: tuple[tuple[str, object], ...] = ()
    scale_set: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class EndSession:
    """End a message session; `how` is expire, expire-token or steal."""

    at: float
    scale_set: str
    how: str


@dataclass(frozen=True, slots=True)
class KillRunner:
    """Kill a runner's process or container: during its job if `busy`, else while it waits for one."""

    at: float
    busy: bool
    pick: float
    """Which of the candidates at that time: 0 is the oldest; less than 1."""
    removed: bool = False
    """Remove its container or its whole directory instead, as an administrator might."""


@dataclass(frozen=True, slots=True)
class PauseRunner:
    """Suspend a runner, as on a machine that swaps, until `ContinueRunners`."""

    at: float
    busy: bool
    pick: float


@dataclass(frozen=True, slots=True)
class ContinueRunners:
    """Resume all paused runners."""

    at: float


@dataclass(frozen=True, slots=True)
class EndDaemon:
    """`how` is kill (SIGKILL), stop (SIGTERM) or twice (a second SIGTERM immediately after the first)."""

    at: float
    how: str


@dataclass(frozen=True, slots=True)
class StartDaemon:
    at: float


@dataclass(frozen=True, slots=True)
class BreakEngine:
    """Disturb the connection between daemon and engine, for the next `count` calls or for `seconds`.

    `how` is cut (close the event streams), away (refuse connections), hang (accept calls but do not answer),
    slow (delay each call), or full (calls of the kind `what`, one of create, start and delete, find the disk
    full).
    """

    at: float
    how: str
    count: int = 0
    seconds: float = 0.0
    what: str = ""


@dataclass(frozen=True, slots=True)
class EndEngine:
    """Stop or kill the engine with all its containers; only one that belongs to the run."""

    at: float
    by_force: bool


@dataclass(frozen=True, slots=True)
class StartEngine:
    at: float


Action: TypeAlias = (
    QueueJob
    | BreakWire
    | EndSession
    | KillRunner
    | PauseRunner
    | ContinueRunners
    | EndDaemon
    | StartDaemon
    | BreakEngine
    | EndEngine
    | StartEngine
)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The configuration of the daemon and of the simulated GitHub; durations as in TOML."""

    min_runners: Mapping[str, int]
    idle_timeout: str
    on_exit: str
    drain_timeout: str
    offers: bool
    """GitHub offers jobs, which must be acquired, instead of assigning them. docs/protocol.md § 6"""

    @property
    def drains(self) -> bool:
        """Whether a stop waits even for the longest job."""
        return self.drain_timeout == PATIENT_DRAIN

    @property
    def keeps(self) -> bool:
        return self.on_exit == "keep"

    def __str__(self) -> str:
        least = ", ".join(f"{name} {count}" for name, count in self.min_runners.items())
        service = "offers jobs" if self.offers else "assigns jobs"
        times = f"idle-timeout {self.idle_timeout}, drain-timeout {self.drain_timeout}"
        return f"min-runners {least}; {times}, on-exit {self.on_exit}; GitHub {service}"


PATIENT_DRAIN = "25s"


@dataclass(frozen=True, slots=True)
class Plan:
    """`actions` are sorted by time."""

    seed: int
    seconds: float
    settings: RunSettings
    actions: tuple[Action, ...]
    comparable: bool
    """The daemon is not restarted and no message about a job is lost, so its counters must equal GitHub's."""
