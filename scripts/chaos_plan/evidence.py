"""What a run has left to judge: plain values, gathered when all is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.testing.simulator import State, Violation


@dataclass(frozen=True, slots=True)
class Counters:
    """Jobs started and completed, as somebody counted them."""

    started: int
    completed: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """`proofs` are the words that each job wrote where it ran, by its id; `crowds` as in `Ground`."""

    github: State
    violations: tuple[Violation, ...]
    jobs: tuple[str, ...]
    proofs: Mapping[str, tuple[str, ...]]
    crowds: frozenset[frozenset[str]]
    most: Mapping[str, int]
    """max-runners of each scale set."""
    killed: frozenset[str]
    """Runners that the plan killed."""
    exit_code: int
    left: tuple[str, ...] = ()
    bystanders_live: bool = True
    crashes: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    counted: Counters | None = None
    """What the daemon counted; None where a restart or a lost message excuses it."""
    unready: str = field(default="")
    """Why the run could not come to its end in time."""
