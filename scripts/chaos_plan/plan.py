"""What will happen in a run, as plain values; `luck` makes them of a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class QueueJob:
    """`seconds` is what the job takes on its runner."""

    at: float
    number: int
    scale_set: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BreakWire:
    """A fault of docs/protocol.md § 10 at the simulator, for the next `count` calls that it fits.

    An empty `scale_set` or `path` fits any.
    """

    at: float
    fault: str
    count: int
    params: tuple[tuple[str, object], ...] = ()
    scale_set: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class EndSession:
    """`how`: expire, expire-token or steal."""

    at: float
    scale_set: str
    how: str


@dataclass(frozen=True, slots=True)
class KillRunner:
    """The runner dies where it runs: in its job, or while it waits for one."""

    at: float
    busy: bool
    pick: float
    """Which of those that there are then: 0 is the oldest, 1 the newest."""
    removed: bool = False
    """Not only killed: its container, or its whole directory, is taken away by hand."""


@dataclass(frozen=True, slots=True)
class PauseRunner:
    """It stands still, as on a machine that swaps, until `ContinueRunners`."""

    at: float
    busy: bool
    pick: float


@dataclass(frozen=True, slots=True)
class ContinueRunners:
    """All that were paused."""

    at: float


@dataclass(frozen=True, slots=True)
class EndDaemon:
    """`how`: kill (-9), stop (SIGTERM) or twice (a second SIGTERM at once)."""

    at: float
    how: str


@dataclass(frozen=True, slots=True)
class StartDaemon:
    at: float


@dataclass(frozen=True, slots=True)
class BreakEngine:
    """Something between the daemon and its engine, for the next `count` calls or for `seconds`.

    `how`: cut (its event streams), away (nobody listens), hang (it accepts and says nothing), slow
    (each call takes longer), or full (`what`, one of create, start and delete, is refused).
    """

    at: float
    how: str
    count: int = 0
    seconds: float = 0.0
    what: str = ""


@dataclass(frozen=True, slots=True)
class EndEngine:
    """The engine itself ends, and what runs in it; only one of our own."""

    at: float
    by_force: bool


@dataclass(frozen=True, slots=True)
class StartEngine:
    at: float


Deed: TypeAlias = (
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
class Setting:
    """What the run is configured with; durations as TOML has them."""

    min_runners: Mapping[str, int]
    idle_timeout: str
    on_exit: str
    drain_timeout: str
    offers: bool
    """GitHub's other flavour: jobs are offered and must be acquired (docs/protocol.md § 6)."""

    @property
    def drains(self) -> bool:
        """A stop waits for the longest job."""
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
    """All `deeds` by time, in seconds from the beginning."""

    seed: int
    seconds: float
    setting: Setting
    deeds: tuple[Deed, ...]
    comparable: bool
    """The daemon lives through and hears of every job: its counters must be GitHub's."""
