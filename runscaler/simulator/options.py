"""The options of a simulated GitHub."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from runscaler.simulator.timers import GITHUB, Timers

if TYPE_CHECKING:
    from runscaler.simulator.apps import App, Installation


class Flavour(StrEnum):
    """The two flavours of the service (docs/protocol.md § 6): one assigns jobs itself, the other offers
    them to be acquired."""

    ASSIGN = "assign"
    ACQUIRE = "acquire"


@dataclass(frozen=True, slots=True)
class Options:
    """Empty `tokens`, `apps` or `installations` accept any."""

    timers: Timers = GITHUB
    flavour: Flavour = Flavour.ASSIGN
    lenient: bool = False
    """Violations are recorded, but the call is not refused."""
    jit_reuse: bool = False
    """Follow GitHub's real rule instead of V10: a runner that had no job may register again."""
    spread: bool = False
    """Assign new jobs to the matching scale set with the fewest jobs instead of the oldest."""
    capacity_trap: bool = True
    """Never offer a job to a scale set that announced capacity 0 when it was queued
    (docs/protocol.md § 9.3)."""
    labels_mutable: bool = False
    """A client may change the labels of a scale set; otherwise it is answered 200 and they stay
    (docs/protocol.md § 4.3)."""
    groups: tuple[str, ...] = ()
    """Runner groups besides `Default`, whose id is 1; their ids count up from 2."""
    tokens: tuple[str, ...] = ()
    token_lifetime: float = 0.0
    """Seconds from the start until personal access tokens expire; 0: never."""
    apps: tuple[App, ...] = ()
    installations: tuple[Installation, ...] = ()
    public_url: str = ""
    """The base URL to hand out instead of the one that the request came to."""
    agent_url: str = ""
    """The base URL by which runners reach the simulator."""
