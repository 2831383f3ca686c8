"""Where runners live: who is there as the machine itself knows it, how to hurt one, what was left."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

STRANGER = "0" * 32
"""An owner's id that no daemon has."""
BYSTANDER = "runner-0000beef"


class Lodger(NamedTuple):
    """A runner's resource; the name of its `scale_set` as it is written on it."""

    runner: str
    scale_set: str


class Ground(Protocol):
    """A context that watches from its beginning to its end."""

    crowds: set[frozenset[Lodger]]
    """Every set of runners that existed at one moment."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def kill(self, runner: str) -> bool:
        """False where it is not there (any more)."""

    def take_away(self, runner: str) -> bool:
        """Kill it with all that it has here, as a hand would that knows nothing of the daemon."""

    def pause(self, runner: str) -> bool:
        """It stands still, and lives."""

    def resume(self, runner: str) -> None:
        """If it is still there."""

    def runners(self) -> frozenset[str]:
        """Who is there now."""

    def left(self) -> list[str]:
        """All that still is, but for bystanders."""

    def touched(self) -> list[str]:
        """Bystanders that are not as they were."""

    def clear(self) -> None:
        """Remove by force whatever is left."""
