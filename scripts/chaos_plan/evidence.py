"""What a run has left to be judged: plain values, gathered when everything has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chaos_plan.target import Resource
    from runscaler.testing.simulator import State, Violation


@dataclass(frozen=True, slots=True)
class Counters:
    """How many jobs started and completed, as the daemon or GitHub counted them."""

    started: int
    completed: int


class Usage(NamedTuple):
    """What a process uses."""

    threads: int = 0
    open_files: int = 0


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Gathered after the daemon's last exit, except for `counters` and `usage`."""

    github: State
    rule_violations: tuple[Violation, ...]
    """Rules of the protocol that the daemon broke, as the simulated GitHub saw it."""
    jobs: tuple[str, ...]
    """Ids of all jobs that were queued."""
    job_output: Mapping[str, tuple[str, ...]]
    """The words that each job wrote on its runner, by job id."""
    snapshots: frozenset[frozenset[Resource]]
    """As in `Target`."""
    max_runners: Mapping[str, int]
    """By scale set."""
    killed: frozenset[str]
    """Runners that the plan killed or may have killed."""
    unexpected_exits: tuple[str, ...] = ()
    """A sentence for each time that the daemon ended as it should not have."""
    leftovers: tuple[str, ...] = ()
    orphaned_registrations: tuple[str, ...] = ()
    """Runners that were registered without a resource even after everything had settled."""
    unregistered_runners: tuple[str, ...] = ()
    """Runners that still lived without a registration, long after everything had settled."""
    changed_decoys: tuple[str, ...] = ()
    crashes: tuple[str, ...] = ()
    """Log lines that tell of a bug."""
    logs: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    """What must not appear in `logs`."""
    counters: Counters | None = None
    """What the daemon counted; None where a restart or a lost message excuses a difference."""
    usage: Usage = NO_USAGE
    """What the daemon used after everything had settled."""
    unsettled: str = ""
    """Why the run did not settle in time; empty if it did."""
