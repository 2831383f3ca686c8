"""What a simulated GitHub is told when it is made; nothing here changes later."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runscaler.simulator.timers import GITHUB, Timers


class Flavour(StrEnum):
    """The two services of docs/protocol.md § 6: one assigns by itself, the other offers."""

    ASSIGN = "assign"
    ACQUIRE = "acquire"


@dataclass(frozen=True, slots=True)
class Options:
    """`tokens` and `installations` empty: any will do. `app_key` is the App's public key as PEM."""

    timers: Timers = GITHUB
    flavour: Flavour = Flavour.ASSIGN
    lenient: bool = False
    """Violations are recorded without refusing the call."""
    jit_reuse: bool = False
    """GitHub's real rule instead of V10: a runner that ended before a job may register again."""
    spread: bool = False
    """New jobs go to the matching scale set with the fewest jobs, not to the oldest."""
    capacity_trap: bool = False
    """A job queued at an announced capacity of 0 is never offered to that set (docs/protocol.md § 9.3)."""
    groups: tuple[str, ...] = ()
    """Runner groups besides `Default`, which has id 1; these get 2 and up."""
    tokens: tuple[str, ...] = ()
    installations: tuple[int, ...] = ()
    app_key: str = ""
    public_url: str = ""
    """The URL handed out instead of the one that the request named."""
    agent_url: str = ""
    """The base URL under which runners reach the simulator."""
