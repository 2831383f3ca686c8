"""What came of each mutant, as lines for people and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mutation.trial import Trial


@dataclass
class Report:
    """`seed` is the one that picked the mutants."""

    seed: int
    trials: list[Trial] = field(default_factory=list)

    def summary(self) -> str:
        """How many were killed, and the survivors with their diffs."""
        lines = [f"\n{trial.verdict}: {trial.mutant.id}\n{trial.diff}" for trial in self._survivors()]
        counts = Counter(trial.verdict.value for trial in self.trials)
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        killed = len(self.trials) - len(self._survivors())
        return "".join([*lines, f"\n{killed} of {len(self.trials)} mutants killed ({told})\n"])

    def as_json(self) -> dict[str, object]:
        return {
            "seed": self.seed,
            "killed": len(self.trials) - len(self._survivors()),
            "survived": len(self._survivors()),
            "mutants": [_trial_as_json(trial) for trial in self.trials],
        }

    def _survivors(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.survived]


def line_of(trial: Trial) -> str:
    return f"{trial.mutant.id}  {trial.mutant.change}: {trial.verdict}, {trial.seconds:.1f} s"


def _trial_as_json(trial: Trial) -> dict[str, object]:
    return {
        "id": trial.mutant.id,
        "change": trial.mutant.change,
        "verdict": trial.verdict.value,
        "seconds": round(trial.seconds, 1),
        "tests": trial.tests,
        "diff": trial.diff,
    }
