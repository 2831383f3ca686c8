"""Where runners live: who is there as the machine itself knows it, how to kill one, what was left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

STRANGER = "0" * 32
"""An owner's id that no daemon has."""
BYSTANDER = "runner-0000beef"


class Ground(Protocol):
    """A context that watches from its beginning to its end."""

    crowds: set[frozenset[str]]
    """Every set of runners that existed at one moment."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def kill(self, runner: str) -> bool:
        """False where it is not there (any more)."""

    def left(self) -> list[str]:
        """All that still is, but for bystanders."""

    def bystanders_live(self) -> bool:
        """Nobody has touched what only looks like a runner."""

    def clear(self) -> None:
        """Remove by force whatever is left."""
