"""The result of a scenario: what became of the jobs, and which rules the client violated."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.simulator.records import JobState

if TYPE_CHECKING:
    from runscaler.simulator.store import Store
    from runscaler.simulator.violations import Violation


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """Cancelled jobs are not counted."""

    scenario: str
    done: int
    failed: int
    waiting: int
    """Queued, assigned or running."""
    violations: tuple[Violation, ...]
    pending: tuple[str, ...]
    """The texts of the steps that have not run."""

    @property
    def good(self) -> bool:
        return not (self.failed or self.waiting or self.violations or self.pending)

    def __str__(self) -> str:
        jobs = f"{self.done} jobs done, {self.failed} failed, {self.waiting} waiting"
        rules = "no rule broken" if not self.violations else f"{len(self.violations)} violations"
        return f"{self.scenario}: {jobs}; {rules}"


def evaluate(scenario: str, store: Store, pending: tuple[str, ...]) -> ScenarioResult:
    """The result as of now; the machine's lock must be held."""
    results = Counter(job.result for job in store.jobs.values())
    done, failed = results["succeeded"], results["failed"]
    return ScenarioResult(scenario, done, failed, unfinished(store), store.violations.all(), pending)


def unfinished(store: Store) -> int:
    """The number of jobs that are not completed."""
    return sum(count for state, count in store.job_counts.items() if state is not JobState.COMPLETED)
