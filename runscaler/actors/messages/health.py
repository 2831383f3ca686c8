"""What the health actor receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.names import ScaleSetKey
    from runscaler.status import ScaleSetStatus


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """The latest status of a scale set."""

    key: ScaleSetKey
    status: ScaleSetStatus


@dataclass(frozen=True, slots=True)
class RestartsCounted:
    """How often each shared actor was restarted, by name. `given_up` is why the program is about to end."""

    shared: tuple[tuple[str, int], ...]
    given_up: str = ""


@dataclass(frozen=True, slots=True)
class ServerCrashed:
    """From the health server's thread, which has ended."""

    error: str


@dataclass(frozen=True, slots=True)
class StopHealth:
    """End, as the last actor of a stop."""


HealthMessage = SnapshotTaken | RestartsCounted | ServerCrashed | StopHealth
