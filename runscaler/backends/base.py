"""The interface of a backend: where runners live. A backend's author needs no word of actors.

One `Backend` object per real thing (an engine, the host's processes, a swarm), shared by all scale
sets on it and called from many threads at once; what differs between sets travels in the order.
`runscaler.testing.backend_contract` is the specification, `backends/memory.py` the shortest example.
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
    """`RUNNING`: its main process lives. `ENDED`: it does not (or never started)."""

    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a resource ended, as far as the backend can tell; `at` is wall-clock seconds."""

    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """What a slot needs beyond itself on its host: a VM slot with its MAC. Empty for containers.

    `warm` is the id of a `Warm` one that waits there: everything but the JIT configuration is done.
    """

    vm_slot: int | None = None
    mac: str = ""
    warm: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """What a backend made for a runner, as read back from the marks on it.

    `id` is the backend's own (container id, directory name); `created_at` wall-clock seconds;
    `runner_id` GitHub's id, 0 where the mark is missing; `ending` is set once it ended; `place` is the
    one on the host that it takes.
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


@dataclass(frozen=True, slots=True)
class RunnerOrder:
    """Everything that starting one runner takes.

    `jit()` is called exactly once, on the thread of `start`, when the resource can take the
    configuration; what it raises passes through `start`. `deadline` is on the monotonic clock.
    """

    key: ScaleSetKey
    slot: SlotNumber
    runner: RunnerName
    settings: ScaleSetSettings
    jit: Callable[[], JitConfig]
    deadline: float
    place: Place = field(default_factory=Place)


@dataclass(frozen=True, slots=True)
class ResourceEnded:
    """Observed: a resource of ours ended or vanished (`ending` None: it is simply not there).

    `key` is its scale set where the backend knows it at once: then no other set is bothered.
    """

    resource_id: str
    ending: Ending | None
    key: ScaleSetKey | None = None


@dataclass(frozen=True, slots=True)
class ThingDown:
    """Observed: the engine or tool stopped answering; said once until `ThingUp`."""

    reason: str
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ThingUp:
    """Observed: it answers (again). Said first thing after `watch` when it does."""


Observation = ResourceEnded | ThingDown | ThingUp


class Progress(Protocol):
    """Told how far a long preparation is; `done` and `total` in bytes, total 0 while unknown."""

    def __call__(self, what: str, done: int, total: int, /) -> None: ...


class Stoppable(Protocol):
    def stop(self) -> None:
        """End it and return when it has ended; harmless when repeated."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A periodic piece of housekeeping: `run` returns one line of what it did, empty for nothing."""

    name: str
    interval: float
    run: Callable[[], str]


class Backend(Protocol):
    """See the module's docstring. All errors raised are `BackendError`s or `Interrupted`."""

    @property
    def name(self) -> str:
        """The kind of backend and the real thing it stands for: "docker unix:///var/run/docker.sock"."""

    def check(self, settings: ScaleSetSettings) -> list[Finding]:
        """Usable for these settings? Every problem, with fixes; changes nothing, pulls nothing."""

    def prepare(self, settings: ScaleSetSettings, progress: Progress, interrupt: Interrupt) -> None:
        """Make images and volumes present. Returns at once when they are; may take minutes."""

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        """Create and start; returns when the resource runs. A failure leaves nothing behind."""

    def remove(self, resource: Resource, *, force: bool, interrupt: Interrupt) -> None:
        """Idempotent; returns when it is gone. Without `force` only what has ended is removed, and
        a running one raises `BackendError`."""

    def inventory(self) -> list[Resource]:
        """All resources with our owner's mark, in any state. Foreign ones are never listed."""

    def logs(self, resource: Resource, tail: int, interrupt: Interrupt) -> bytes:
        """The last `tail` bytes of its output; empty where it left none."""

    def runs_a_job(self, resource: Resource, interrupt: Interrupt) -> bool | None:
        """Is a `Runner.Worker` process inside? None: cannot tell."""

    def watch(self, since: float, report: Callable[[Observation], None]) -> Stoppable:
        """Report ends and availability as they happen, from wall-clock `since` on, until stopped.

        `report` is called on the backend's own threads. A broken stream is taken up again where it
        ended; after `ThingUp` the receiver takes an inventory, so nothing need be replayed."""

    def sweeps(self, settings: Sequence[ScaleSetSettings]) -> list[Sweep]:
        """Periodic housekeeping that these sets ask for."""

    def close(self) -> None:
        """Release connections; the resources stay."""


@dataclass(frozen=True, slots=True)
class Warm:
    """A resource made ahead of demand, ready for any runner of the scale sets that want its `kind`.

    `kind` is what they must agree in (image, size), as one line; `ready_at` wall-clock seconds.
    """

    id: str
    kind: str
    place: Place
    ready_at: float


@runtime_checkable
class PlacedBackend(Backend, Protocol):
    """A backend whose host has few places, shared with other programs, and who can make warm ones.

    Its places are handed out by the actor of VM slots (docs/architecture.md § VM slots and the warm pool): no `start` without one. `watch`
    reports the end of a warm one too.
    """

    def kind_of_warm(self, settings: ScaleSetSettings) -> str:
        """The `Warm.kind` that runners with these settings can use. No call to the outside."""

    def claim_place(self, most: int, but: Collection[int] = ()) -> Place | None:
        """The lowest free place of the host, ours until it is returned or a resource in it ends; None
        while `most` are taken, by whomever. VM slots in `but` count as taken though nothing lives in
        them. Quick: files and locks only."""

    def return_place(self, place: Place) -> None:
        """Not wanted any more. A place in which something lives stays taken until that has ended."""

    def claimed_places(self) -> list[Place]:
        """All that were claimed and not returned."""

    def place_holders(self) -> str:
        """Who holds the host's places, for people: "runner-0a1b2c3d, sequoia-test (not ours)"."""

    def warm(self, settings: ScaleSetSettings, place: Place, interrupt: Interrupt) -> Warm:
        """Make one in `place`; returns when it could take a JIT configuration. A failure leaves nothing
        behind but the claim to its place. `start` with `Place.warm` uses it up, whatever comes of it."""

    def warm_ones(self) -> list[Warm]:
        """Those that an earlier process left and that still answer; what does not is removed here."""

    def cool(self, warm: Warm, interrupt: Interrupt) -> None:
        """Remove a warm one. Idempotent; returns when it is gone."""


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What every backend gets from the process: its identity, where it may keep files, and time.

    `state_dir` is None when nothing is writable (docs/behaviour.md § 4.2): a backend then keeps files in the
    system's temporary directory, or does without.
    """

    owner: OwnerId
    state_dir: Path | None
    clock: Clock


class BackendKind(Protocol):
    """How the registry makes backends of one name. Sets with equal `thing` share one backend."""

    def thing(self, settings: ScaleSetSettings) -> str:
        """What real thing these settings point at, as one line ("docker unix:///var/run/docker.sock")."""

    def open(self, settings: ScaleSetSettings, context: BackendContext) -> Backend:
        """Make the backend; connects to nothing yet, so that a dead engine does not fail the start."""
