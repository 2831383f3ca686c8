"""What the root actor receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.shared import ChildCrashed, RestartChild

if TYPE_CHECKING:
    from runscaler.config.changes import ConfigChanges
    from runscaler.config.model import Config
    from runscaler.names import ScaleSetKey


@dataclass(frozen=True, slots=True)
class Ping:
    """An ask from outside the actors. The answer is whether all of root's children answer heartbeats."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop everything in order: scale sets, keepers, host, health."""


@dataclass(frozen=True, slots=True)
class SetDrain:
    """An ask from outside the actors: drain the scale sets of these keys, or resume them. The answer is True
    unless a stop has begun."""

    keys: tuple[ScaleSetKey, ...]
    drain: bool


@dataclass(frozen=True, slots=True)
class Reload:
    """An ask from outside the actors: put this configuration in force. The answer is `Reloaded`, or None once
    a stop has begun."""

    config: Config


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload changed. `moving` scale sets go to another backend: they begin anew once their runners on
    the old one have ended. `returning` ones were taken out before, and begin anew once that is over."""

    changes: ConfigChanges
    moving: frozenset[ScaleSetKey] = frozenset()
    returning: frozenset[ScaleSetKey] = frozenset()


@dataclass(frozen=True, slots=True)
class ScaleSetStopped:
    """The scale set has ended as ordered."""

    key: ScaleSetKey


@dataclass(frozen=True, slots=True)
class HeartbeatDue:
    """Own deadline: ask all children for a heartbeat."""


@dataclass(frozen=True, slots=True)
class HeartbeatAnswered:
    """The answer to `Heartbeat`; so many messages waited behind it."""

    name: str
    depth: int = 0


@dataclass(frozen=True, slots=True)
class SharedStopped:
    """An actor that scale sets share (keeper, host, health) has ended as ordered."""

    name: str


@dataclass(frozen=True, slots=True)
class UnconfiguredListed:
    """A keeper, by name, has listed runners of scale sets that have not joined it: the key of each runner.

    Sent after its first list in any case, later only if there are any.
    """

    keeper: str
    keys: tuple[ScaleSetKey, ...]


RootMessage = (
    ChildCrashed
    | RestartChild
    | Ping
    | Shutdown
    | SetDrain
    | Reload
    | ScaleSetStopped
    | SharedStopped
    | HeartbeatDue
    | HeartbeatAnswered
    | UnconfiguredListed
)
