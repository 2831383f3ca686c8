"""What Root receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.shared import ChildCrashed, RestartChild

if TYPE_CHECKING:
    from runscaler.names import ScaleSetKey


@dataclass(frozen=True, slots=True)
class Ping:
    """Asked by the edges: is the actor system alive?"""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop everything in order: scale sets, keepers, host, health."""


@dataclass(frozen=True, slots=True)
class ScaleSetStopped:
    """A scale set ended in good order."""

    key: ScaleSetKey


@dataclass(frozen=True, slots=True)
class HeartbeatDue:
    """Own deadline: ask all for a heartbeat."""


@dataclass(frozen=True, slots=True)
class HeartbeatAnswered:
    name: str


@dataclass(frozen=True, slots=True)
class SharedStopped:
    """A shared actor (keeper, host, health) ended as ordered."""

    name: str


RootMessage = (
    ChildCrashed
    | RestartChild
    | Ping
    | Shutdown
    | ScaleSetStopped
    | SharedStopped
    | HeartbeatDue
    | HeartbeatAnswered
)
