"""What the actors of one program share: plain objects and callables, made by the facade.

Nothing in here is changed by an actor but through the object's own thread-safe methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pykka

    from runscaler.backends.base import Backend, Ending, Stoppable
    from runscaler.clock import Clock
    from runscaler.config.model import Config, ScaleSetSettings
    from runscaler.errors import RunscalerError
    from runscaler.events import Event
    from runscaler.github.base import ScaleSetId, ScaleSetService, SessionId, TroubleReport
    from runscaler.names import RunnerName, ScaleSetKey
    from runscaler.status import Status

T = TypeVar("T")


class StateStore(Protocol):
    """What outlives an actor, and with a state-dir the process (docs/behaviour.md § 4.2, 8.2). Thread-safe."""

    def load_session(self, key: ScaleSetKey) -> tuple[ScaleSetId, SessionId] | None: ...

    def save_session(self, key: ScaleSetKey, scale_set_id: ScaleSetId, session_id: SessionId) -> None: ...

    def clear_session(self, key: ScaleSetKey) -> None: ...

    def note_registration(self, key: ScaleSetKey, runner: RunnerName) -> None:
        """There will be a registration, or is one. Harmless when repeated."""

    def clear_registration(self, key: ScaleSetKey, runner: RunnerName) -> None:
        """It is gone, or was never made."""

    def noted_registrations(self, key: ScaleSetKey) -> list[RunnerName]: ...

    def set_aside(self, key: ScaleSetKey, batch_id: int, content: str) -> Path | None:
        """Keep a batch that crashed its scale set again and again; None where there is no place for it."""

    def keep_output(self, key: ScaleSetKey, runner: str, output: bytes, ending: Ending | None) -> Path | None:
        """Keep a failed runner's last output; None where there is no place for it."""


class Board(Protocol):
    """The latest snapshot: written by the health actor, read by anybody."""

    def read(self) -> Status: ...

    def write(self, status: Status) -> None: ...


class Jobs(Protocol):
    """Threads for what an actor must not do itself; `actors.workers.Workers`."""

    def submit(
        self,
        call: Callable[[], T],
        done: Callable[[T], object],
        failed: Callable[[RunscalerError], object],
    ) -> None: ...

    def close(self) -> None: ...


def start(kind: type[pykka.Actor], *args: object) -> pykka.ActorRef[Any]:
    """How actors are started but in tests without threads."""
    return kind.start(*args)


@dataclass(frozen=True, slots=True)
class House:
    """`connect` makes GitHub's side of a scale set, `open_backend` the one of a thing (and `thing_of`
    names it), `serve` starts the health server (None: off). `host_name` is shown as session owner.

    `launch` starts an actor and `workers` makes threads (name, how many, whom to tell): both are
    replaced in tests without threads.
    """

    config: Config
    clock: Clock
    state_store: StateStore
    board: Board
    host_name: str
    connect: Callable[[ScaleSetSettings, TroubleReport], ScaleSetService]
    thing_of: Callable[[ScaleSetSettings], str]
    open_backend: Callable[[ScaleSetSettings], Backend]
    emit: Callable[[Event], None]
    workers: Callable[[str, int, Callable[[object], None]], Jobs]
    serve: Callable[[], Stoppable] | None = None
    launch: Callable[..., pykka.ActorRef[Any]] = start
