"""What a run has left to judge: plain values, gathered when all is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chaos_plan.ground import Lodger
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
    crowds: frozenset[frozenset[Lodger]]
    most: Mapping[str, int]
    """max-runners of each scale set."""
    killed: frozenset[str]
    """Runners that the plan killed."""
    wrong_ends: tuple[str, ...] = ()
    """Lives of the daemon that ended as none should."""
    left: tuple[str, ...] = ()
    homeless: tuple[str, ...] = ()
    """Registrations whose runners were not there, when all had been at rest for long enough."""
    touched: tuple[str, ...] = ()
    """Bystanders that are not as they were."""
    crashes: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    counted: Counters | None = None
    """What the daemon counted; None where a restart or a lost message excuses it."""
    holds: tuple[int, int] = (0, 0)
    """The daemon's threads and open files, when all was at rest."""
    unready: str = field(default="")
    """Why the run could not come to its end in time."""
