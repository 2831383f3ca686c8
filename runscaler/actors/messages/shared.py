"""What any actor, and any parent, receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pykka

Ref = pykka.ActorRef[Any]
HOST, KEEPER, HEALTH = "host", "keeper", "health"
"""The kinds of `PeerReplaced`."""
BATCH = "BatchReceived"
"""How a crash report begins that is about a batch; its digest follows."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Your parent died: end now, keep your resource, leave your session, tell nobody."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Answer your parent with `HeartbeatAnswered`: an actor that must not block does so at once."""

    name: str


@dataclass(frozen=True, slots=True)
class ChildCrashed:
    """`urn` names the dead actor, `handling` what it was at, `error` is rendered text; `orphans` are
    its children, which have been told to end."""

    urn: str
    name: str
    handling: str
    error: str
    orphans: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class RestartChild:
    """Own deadline: the backoff of a crashed child is over; `orphans` may still have to end."""

    name: str
    orphans: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class HoldReportsOverdue:
    """Own deadline: stop waiting for scale sets that have not reported what their runners hold."""
