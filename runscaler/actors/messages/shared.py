"""What more than one kind of actor receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pykka

if TYPE_CHECKING:
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService

Ref = pykka.ActorRef[Any]
HOST, KEEPER, HEALTH = "host", "keeper", "health"
"""The kinds in `PeerReplaced`; the first and the last are also the names of these actors."""
BATCH = "BatchReceived"
"""How `ChildCrashed.handling` begins if a batch was being handled; the digest of the batch follows."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """The parent has died: end now, but leave the resource and the session as they are. Report nothing."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Answered with `HeartbeatAnswered` to the parent; at once, by an actor that must not block."""

    name: str


@dataclass(frozen=True, slots=True)
class ChildCrashed:
    """A child has died.

    `urn` identifies it, `handling` names the message or hook at which it died, `error` is the error and its
    stack as text. `orphans` are its own children, which have been told to end.
    """

    urn: str
    name: str
    handling: str
    error: str
    orphans: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class RestartChild:
    """Own deadline: the backoff of a crashed child is over. Its `orphans` may not have ended yet."""

    name: str
    orphans: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class UseSettings:
    """From a scale set to its listener or the actor of a slot: use these from now on. To a listener it is
    sent with the interrupt."""

    settings: ScaleSetSettings
    service: ScaleSetService


@dataclass(frozen=True, slots=True)
class HoldReportsOverdue:
    """Own deadline: stop waiting for the scale sets that have not reported what their runners hold."""


@dataclass(frozen=True, slots=True)
class WorkerCrashed:
    """From a worker: a call raised what it may not; the actor that ordered it crashes in turn."""

    error: str
