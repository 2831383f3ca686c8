"""What all actors of one program share. The facade makes it before the first actor starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from runscaler.metrics.metrics import Metrics
from runscaler.policy.host_guard import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pykka

    from runscaler.actors.workers import WorkerPool
    from runscaler.backends.base import Backend, Ending, Stoppable
    from runscaler.clock import Clock
    from runscaler.config.model import Config, ScaleSetSettings
    from runscaler.events import Event
    from runscaler.github.base import ScaleSetId, ScaleSetService, SessionId, TroubleReport
    from runscaler.names import RunnerName, ScaleSetKey
    from runscaler.status import Status


class StateStore(Protocol):
    """What outlives an actor and, given a state-dir, the process. Thread-safe (docs/behaviour.md § 8.2)."""

    def load_session(self, key: ScaleSetKey) -> tuple[ScaleSetId, SessionId] | None: ...

    def save_session(self, key: ScaleSetKey, scale_set_id: ScaleSetId, session_id: SessionId) -> None: ...

    def clear_session(self, key: ScaleSetKey) -> None: ...

    def save_created(self, key: ScaleSetKey, scale_set_id: ScaleSetId) -> None:
        """Note that this daemon created the scale set at GitHub."""

    def created_scale_set(self, key: ScaleSetKey) -> ScaleSetId | None:
        """Its id, if this daemon created it."""

    def clear_created(self, key: ScaleSetKey) -> None:
        """It is deleted, or was never ours."""

    def created_scale_sets(self) -> list[ScaleSetKey]:
        """All that this daemon created and that are not known to be deleted, sorted."""

    def note_registration(self, key: ScaleSetKey, runner: RunnerName) -> None:
        """Note that the runner is, or is about to be, registered at GitHub. Idempotent."""

    def clear_registration(self, key: ScaleSetKey, runner: RunnerName) -> None:
        """Drop the note: the registration is gone, or was never made."""

    def noted_registrations(self, key: ScaleSetKey) -> list[RunnerName]: ...

    def set_aside(self, key: ScaleSetKey, batch_id: int, content: str) -> Path | None:
        """Save a batch that keeps crashing its scale set; None if there is nowhere to save it."""

    def journal(self, key: ScaleSetKey, kind: str, **content: object) -> None:
        """Note what GitHub told or what was decided, for a bug report (docs/behaviour.md § 10.5)."""

    def keep_output(self, key: ScaleSetKey, runner: str, output: bytes, ending: Ending | None) -> Path | None:
        """Save the last output of a failed runner; None if there is nowhere to save it."""


class Board(Protocol):
    """The latest status snapshot: written by the health actor, read from any thread."""

    def read(self) -> Status: ...

    def write(self, status: Status) -> None: ...


class Configuration:
    """The configuration in force. A reload replaces it as a whole, which is atomic: root is the only writer,
    and it may be read from any thread."""

    def __init__(self, config: Config) -> None:
        self.config = config


def start_actor(kind: type[pykka.Actor], *args: object) -> pykka.ActorRef[Any]:
    return kind.start(*args)


@dataclass(frozen=True, slots=True)
class ActorContext:
    """Everything in here may be used from every actor's thread. Only the configuration, the state store and
    the board change."""

    configuration: Configuration
    clock: Clock
    state_store: StateStore
    board: Board
    host_name: str
    """This host's name, which GitHub shows as the owner of a message session."""
    connect: Callable[[ScaleSetSettings, TroubleReport], ScaleSetService]
    """Makes the client for one scale set's calls to GitHub; it reports calls that it has to repeat."""
    backend_id_of: Callable[[ScaleSetSettings], str]
    """Names the engine or host that the settings point at. Scale sets with equal ids share one backend."""
    open_backend: Callable[[ScaleSetSettings], Backend]
    """Makes the backend that the settings point at. Called once for each backend id."""
    emit: Callable[[Event], None]
    """Hands an event to whoever embeds the autoscaler."""
    make_worker_pool: Callable[[str, int, Callable[[object], None]], WorkerPool]
    """Makes a pool with a name, a number of threads, and the function that gets each result.
    Tests replace it with one that works on the caller's thread."""
    measure_host: Callable[[], Measurement] = Measurement
    """Measures what is free on this host. May block; called on a worker, never twice at the same time."""
    serve: Callable[[Callable[[str], None]], Stoppable] | None = None
    """Starts the health server, which tells if its thread crashes; None if it is switched off."""
    launch: Callable[..., pykka.ActorRef[Any]] = start_actor
    """Starts an actor of a class with these arguments. Tests replace it to run actors without threads."""
    metrics: Metrics = field(default_factory=Metrics)
    """Where facts are counted. Thread-safe."""

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.configuration.config
