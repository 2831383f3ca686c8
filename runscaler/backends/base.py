"""The interface between the actors and a backend, which is where runners live.

To write a backend: implement `Backend` and `BackendFactory`, register the factory under the entry point
group `runscaler.backends`, and let `runscaler.testing.backend_contract` test it. `backends/memory.py` is
the shortest example. An author need not know about actors.

There is one `Backend` object for each engine or host. All its scale sets share it and call it from many
threads at once; what differs between scale sets comes with each call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.findings import Finding
    from runscaler.github.base import JitConfig
    from runscaler.interrupt import Interrupt
    from runscaler.names import OwnerId, RunnerName, ScaleSetKey, SlotNumber


class ResourceState(StrEnum):
    """Whether the main process of a resource runs. One that never started counts as ended."""

    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a resource ended, as far as the backend knows. `at` is in wall-clock seconds, 0 if unknown."""

    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """What a runner needs of its host besides a slot: a VM slot and its MAC address. Empty for containers.

    `warm` is the id of the `WarmResource` in it that the runner is to use, if there is one.
    """

    vm_slot: int | None = None
    mac: str = ""
    warm: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """What a backend made for a runner: a container, a process, a VM.

    `id` is the backend's own (container id, directory name). The rest is read back from what the backend
    wrote on the resource. `runner_id` is GitHub's id, 0 if unknown. `created_at` is in wall-clock seconds.
    `ending` is set once the resource has ended. `place` is the one that it occupies. `unfit` says why a job
    would fail on it, if that is certain; it is replaced while it is idle. `outdated` says why a new one would
    be better, although a job would run on it, such as a newer image: idle ones are replaced a few at a time.
    """

    id: str
    owner: OwnerId
    key: ScaleSetKey
    slot: SlotNumber
    runner: RunnerName
    runner_id: int
    created_at: float
    state: ResourceState = ResourceState.RUNNING
    ending: Ending | None = None
    place: Place = field(default_factory=Place)
    unfit: str = ""
    outdated: str = ""


class StartStep(StrEnum):
    """What `Backend.start` has done so far."""

    CREATED = "created"
    """The resource is made."""
    BOOTED = "booted"
    """It is a VM, whose guest answers."""


def _ignore_step(_step: StartStep, /) -> None:
    """For who does not measure starts."""


@dataclass(frozen=True, slots=True)
class RunnerOrder:
    """Which runner to start, and with what.

    `jit` fetches the JIT configuration. `Backend.start` calls it exactly once, on its own thread, as soon
    as the resource can take the configuration, and lets its errors pass. `deadline` is in monotonic seconds.
    `reached` is called on that thread after each step, so that the phases of the start can be measured.
    """

    key: ScaleSetKey
    slot: SlotNumber
    runner: RunnerName
    settings: ScaleSetSettings
    jit: Callable[[], JitConfig]
    deadline: float
    place: Place = field(default_factory=Place)
    reached: Callable[[StartStep], None] = _ignore_step


@dataclass(frozen=True, slots=True)
class ResourceEnded:
    """Observed: a resource of ours ended, or is gone if `ending` is None.

    `key` is its scale set if the backend knows it without asking; then no other scale set is told.
    """

    resource_id: str
    ending: Ending | None
    key: ScaleSetKey | None = None


@dataclass(frozen=True, slots=True)
class BackendUnavailable:
    """Observed: the engine or tool stopped answering. Reported once until `BackendAvailable`."""

    reason: str
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendAvailable:
    """Observed: the engine or tool answers, for the first time or again."""


@dataclass(frozen=True, slots=True)
class WatchCrashed:
    """Observed: the thread that watches has died of an error of ours, and reports nothing any more. The
    receiver ends in its turn; its successor watches anew."""

    error: str


Observation = ResourceEnded | BackendUnavailable | BackendAvailable | WatchCrashed


class Progress(Protocol):
    """Called with how far a long preparation is, in bytes; `total` is 0 while unknown."""

    def __call__(self, what: str, done: int, total: int, /) -> None: ...


class Stoppable(Protocol):
    """Something that runs until it is stopped."""

    def stop(self) -> None:
        """Stop it, and return when it has stopped. May be called more than once."""


@dataclass(frozen=True, slots=True)
class SweepTarget:
    """Something that a sweep would remove now: its kind, in the words of its tool ("volume", "image"), its
    name for people to read, and the bytes that would become free; None if that cannot be told."""

    kind: str
    name: str
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep did: one line about it, or ""; how many things it removed, and the bytes that became free.
    0 for a number that cannot be told."""

    words: str = ""
    removed: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class Sweep:
    """Periodic housekeeping, every `interval` seconds. `run` returns what it did: a `SweepResult`, which
    metrics count, or only the line.

    `plan` tells what `run` would remove, and changes nothing; None where that cannot be told beforehand. Both
    may block for minutes, and raise `BackendError` and `Interrupted`.
    """

    name: str
    interval: float
    run: Callable[[], SweepResult | str]
    plan: Callable[[], list[SweepTarget]] | None = None
    kind: str = "leftovers"
    """As metrics call it: one of `metrics.own.SWEEPS`."""


class Backend(Protocol):
    """An engine or host on which runners can be started. Thread-safe.

    All methods may block, except `watch`, which reports from threads of the backend's own. They raise
    `BackendError` (`BackendDown` if the engine or tool does not answer), and `Interrupted` once their
    interrupt is set.
    """

    @property
    def name(self) -> str:
        """The kind of backend, and which engine or host it is if there can be several:
        "docker unix:///var/run/docker.sock"."""

    def check(self, settings: ScaleSetSettings) -> list[Finding]:
        """Everything that keeps runners with these settings from starting, with possible fixes. Changes and
        downloads nothing."""

    def prepare(self, settings: ScaleSetSettings, progress: Progress, interrupt: Interrupt) -> None:
        """Make images and volumes present. Takes minutes if an image must be pulled, and returns at once
        if all is there. Raises `ImageMissing` if an image cannot be had."""

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        """Create a resource and start the runner in it. Returns when it runs. If that fails, nothing of it
        is left. Raises `StartFailed`, `ImageMissing`, and what `order.jit` raises."""

    def remove(self, resource: Resource, *, force: bool, interrupt: Interrupt, grace: float = 0.0) -> None:
        """Remove a resource, and return when it is gone; no error if it is gone already. One that still runs
        is removed only by `force`; otherwise it raises `BackendError`. With a `grace`, it first gets SIGTERM
        and that many seconds to cancel its job, to report that and to end (docs/behaviour.md § 6.2)."""

    def inventory(self) -> list[Resource]:
        """All resources of our owner, in any state, and none of other owners."""

    def logs(self, resource: Resource, tail: int, interrupt: Interrupt) -> bytes:
        """The last `tail` bytes of the runner's output; empty if there is none."""

    def runs_a_job(self, resource: Resource, interrupt: Interrupt) -> bool | None:
        """Does a `Runner.Worker` process run in it? None: that cannot be told."""

    def watch(self, since: float, report: Callable[[Observation], None]) -> Stoppable:
        """Report what happens, from wall-clock second `since` on, until stopped. Returns at once.

        The first report says whether the backend is available. `report` is called on threads of the
        backend. When events may have been missed, `BackendAvailable` is reported again: the receiver then
        takes an inventory.
        """

    def sweeps(self, settings: Sequence[ScaleSetSettings]) -> list[Sweep]:
        """The housekeeping that these scale sets ask for."""

    def close(self) -> None:
        """Close connections. Resources stay."""


@runtime_checkable
class ImageBackend(Backend, Protocol):
    """A backend whose runners are in images that may be had newer from elsewhere."""

    def pull_interval(self, settings: ScaleSetSettings) -> float:
        """After how many seconds `prepare` looks for a newer image by itself; `math.inf`: never."""

    def look_for_newer_image(self, settings: ScaleSetSettings) -> bool:
        """GitHub refuses the runner in the image of these settings: the next `prepare` looks for a newer one.
        False if it does not, as it did so not long ago or the settings forbid it. Does not block."""


@runtime_checkable
class DatedBackend(Backend, Protocol):
    """A backend that knows when the image of its runners was built."""

    def image_built_at(self, settings: ScaleSetSettings) -> float | None:
        """Of the image that the last `prepare` with these settings found or pulled, in wall-clock seconds;
        None if unknown. Does not block."""


@runtime_checkable
class TidyBackend(Backend, Protocol):
    """A backend with something to remove when the process ends (docs/behaviour.md § 7.1)."""

    def tidy_up(self, settings: Sequence[ScaleSetSettings], interrupt: Interrupt) -> str:
        """Remove what no runner needs after the last of ours. Called once, when an orderly stop has removed
        all runners of these scale sets. Returns one line about what it did, or ""."""


@dataclass(frozen=True, slots=True)
class WarmResource:
    """A resource made ahead of demand. All that it lacks is a JIT configuration.

    Runners whose settings give the same `kind` can use it. `ready_at` is in wall-clock seconds.
    """

    id: str
    kind: str
    place: Place
    ready_at: float


@runtime_checkable
class PlacedBackend(Backend, Protocol):
    """A backend whose host has few places, which it shares with other programs, and that can prepare
    resources ahead of demand.

    The actor of VM slots hands the places out (docs/architecture.md § VM slots and the warm pool): `start`
    needs an order with one. `watch` also reports the end of a warm resource.
    """

    def warm_kind(self, settings: ScaleSetSettings) -> str:
        """The `WarmResource.kind` that runners with these settings can use. Does not block."""

    def claim_place(self, most: int, excluding: Collection[int] = ()) -> Place | None:
        """Claim the lowest free place; None if `most` places of the host are taken, by whomever.

        It is ours until it is returned, or until a resource in it ends. VM slots in `excluding` count as
        taken. Only uses files and locks, so it does not block for long.
        """

    def return_place(self, place: Place) -> None:
        """Give up a claim. A place with a resource in it stays taken until that has ended."""

    def claimed_places(self) -> list[Place]:
        """All places that were claimed and not returned."""

    def place_holders(self) -> str:
        """Who holds the host's places, for people to read: "runner-0a1b2c3d, sequoia-test (not ours)"."""

    def make_warm(self, settings: ScaleSetSettings, place: Place, interrupt: Interrupt) -> WarmResource:
        """Make a resource in `place`, and return when it can take a JIT configuration. If that fails, only
        the claim to its place is left. A `start` with its id in `Place.warm` uses it up, even one that fails.
        """

    def warm_resources(self) -> list[WarmResource]:
        """Those that an earlier process made and that still answer. Those that do not are removed."""

    def remove_warm(self, warm: WarmResource, interrupt: Interrupt) -> None:
        """Remove a warm resource, and return when it is gone; no error if it is gone already."""


@runtime_checkable
class LocalDisks(Protocol):
    """A backend that can tell on which disks of this host its runners and images lie."""

    def disk_paths(self) -> Sequence[Path]:
        """Directories on these disks; they need not exist. May block for some seconds. Raises `BackendError`
        where the disks are another host's, and `BackendDown` where that is not known yet."""


def nothing_is_known(_owner: OwnerId, _state_dir: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What every backend gets from the process.

    `owner` must be written on every resource. `state_dir` is a directory to keep files in, None if nothing
    is writable: then use the system's temporary directory or do without (docs/behaviour.md § 4.2).
    `is_dead` tells whether it is proved that another owner's daemon is dead (docs/behaviour.md § 14.5); its
    second argument is the state directory that a mark of that owner names, or "".
    """

    owner: OwnerId
    state_dir: Path | None
    clock: Clock
    is_dead: Callable[[OwnerId, str], bool] = nothing_is_known


class BackendFactory(Protocol):
    """Makes the backends of one name, for example "docker". The registry finds it by that name."""

    def location(self, settings: ScaleSetSettings) -> str:
        """Which engine or host the settings mean, as one line: "docker unix:///var/run/docker.sock". Scale
        sets with equal locations share one backend."""

    def create(self, settings: ScaleSetSettings, context: BackendContext) -> Backend:
        """Make a backend. Must not connect to anything yet, so that an engine which is down does not keep
        the daemon from starting."""
