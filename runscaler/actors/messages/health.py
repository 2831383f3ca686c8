"""What the health actor receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.names import ScaleSetKey
    from runscaler.status import ScaleSetStatus


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """A scale set as it is now."""

    key: ScaleSetKey
    status: ScaleSetStatus


@dataclass(frozen=True, slots=True)
class RestartsCounted:
    """Root's counts: of the shared actors by name, of scale set actors by key; `given_up` is why the
    program is about to end, else empty."""

    shared: tuple[tuple[str, int], ...]
    given_up: str = ""


@dataclass(frozen=True, slots=True)
class StopHealth:
    """Everything else is down."""


HealthMessage = SnapshotTaken | RestartsCounted | StopHealth
