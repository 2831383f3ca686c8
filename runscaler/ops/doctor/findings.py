"""What `runner doctor` found, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """`LIVE` is nobody's business but its owner's; all others are found, and make the exit code 1.

    `ORPHAN` is removed by --fix; `BUSY` is an orphan that runs, or may run, a job, and is removed only with
    --force; of `UNKNOWN` nobody can tell whether its owner lives, and it is removed only with --owner.
    """

    ORPHAN = "orphan"
    BUSY = "busy"
    UNKNOWN = "unknown"
    LIVE = "live"


class Outcome(StrEnum):
    """What became of it: `LEFT` alone, `REMOVED`, or its removal `FAILED`."""

    LEFT = "left"
    REMOVED = "removed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Found:
    """A resource, a volume or a registration.

    `where` is the engine, host or scale set. `reason` says why that is the verdict, and `error` why the
    removal failed.
    """

    kind: str
    name: str
    where: str
    verdict: Verdict
    reason: str = ""
    owner: str = ""
    state_dir: str = ""
    outcome: Outcome = Outcome.LEFT
    error: str = ""

    @property
    def is_open(self) -> bool:
        """It is still there, and no living daemon's."""
        return self.verdict is not Verdict.LIVE and self.outcome is not Outcome.REMOVED


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be looked at, or a request that was refused."""

    message: str
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`notes` inform, and do not count."""

    found: tuple[Found, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()

    @property
    def is_clean(self) -> bool:
        return not self.problems and not any(one.is_open for one in self.found)
