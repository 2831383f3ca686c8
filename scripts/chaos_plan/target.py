"""Where runners run, as seen and disturbed from outside the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

FOREIGN_OWNER = "0" * 32
"""An owner id that no daemon has."""
DECOY_RUNNER = "runner-0000beef"
"""The runner name of decoys: things that look like a runner's resource but do not belong to the daemon."""


class Resource(NamedTuple):
    """What a backend made for a runner; `scale_set` is the name written on it, empty if there is none yet."""

    runner: str
    scale_set: str


class Target(Protocol):
    """A context: inside it decoys exist and the resources are watched. `runner` is a runner's name."""

    snapshots: set[frozenset[Resource]]
    """Every set of resources that ran at the same time."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def kill(self, runner: str) -> bool:
        """False if there is no such runner (any more)."""

    def remove(self, runner: str) -> bool:
        """Remove its resource by force, as an administrator might; false if there is none."""

    def pause(self, runner: str) -> bool:
        """Suspend it; false if there is no such runner."""

    def resume(self, runner: str) -> None:
        """Continue it if it still exists."""

    def runners(self) -> frozenset[str]:
        """The names of all runners that exist now."""

    def leftovers(self) -> list[str]:
        """Descriptions of everything that still exists except the decoys."""

    def changed_decoys(self) -> list[str]:
        """Descriptions of the decoys that somebody has changed."""

    def remove_all(self) -> None:
        """Remove all of the daemon's resources by force."""
