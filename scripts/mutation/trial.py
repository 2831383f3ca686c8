"""Test one mutant: which tests reach it, and whether one of them fails."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mutation.mutant import Mutant
    from mutation.targets import Target
    from mutation.workspace import CleanRun, Workspace

TIME_FACTOR = 4.0
START_SECONDS = 20.0
"""For Python and pytest to start on a busy machine."""


class Verdict(StrEnum):
    KILLED = "killed"
    TIMED_OUT = "timed out"
    """Killed too: the tests would not have passed."""
    SURVIVED = "survived"
    UNREACHED = "not reached"
    """Survived without a run: no test executes the mutated line."""


@dataclass(frozen=True, slots=True)
class Trial:
    """`tests` is how many there were to run at most."""

    mutant: Mutant
    verdict: Verdict
    seconds: float
    tests: int
    diff: str

    @property
    def survived(self) -> bool:
        return self.verdict in (Verdict.SURVIVED, Verdict.UNREACHED)


def try_out(mutant: Mutant, target: Target, clean: CleanRun, workspace: Workspace, patience: float) -> Trial:
    """The tests get `patience` seconds, and `TIME_FACTOR` times what they take without a mutant."""
    diff = mutant.diff(workspace.config_identity(mutant))
    tests = tests_reaching(mutant, target, clean)
    if not tests:
        return Trial(mutant, Verdict.UNREACHED, 0.0, 0, diff)
    limit = patience + TIME_FACTOR * sum(clean.durations[test] for test in tests)
    began = time.monotonic()
    with workspace.mutated(mutant):
        try:
            verdict = Verdict.SURVIVED if workspace.passes(tests, limit) else Verdict.KILLED
        except subprocess.TimeoutExpired:
            verdict = Verdict.TIMED_OUT
    return Trial(mutant, verdict, time.monotonic() - began, len(tests), diff)


def tests_reaching(mutant: Mutant, target: Target, clean: CleanRun) -> list[str]:
    """Those that execute one of its lines; for a line that is executed at import, all.

    File after file, the one that takes the least time first; with the tests of the mutated module before
    the others where all are wanted.
    """
    by_line = clean.executed.get(mutant.path, {})
    own = {test for line in mutant.lines for test in by_line.get(line, ())}
    near = {test for tests in by_line.values() for test in tests}
    wanted = set(clean.durations) if "" in own else own
    return [
        *_by_file(_within(wanted & near, target), clean),
        *_by_file(_within(wanted - near, target), clean),
    ]


def _within(tests: Iterable[str], target: Target) -> list[str]:
    places = tuple(f"{place}::" if place.endswith(".py") else f"{place}/" for place in target.tests)
    return [test for test in tests if test.startswith(places)]


def _by_file(tests: list[str], clean: CleanRun) -> list[str]:
    seconds: dict[str, float] = {}
    for test in tests:
        seconds[_file(test)] = seconds.get(_file(test), 0.0) + clean.durations[test]
    order = {test: place for place, test in enumerate(clean.durations)}
    return sorted(tests, key=lambda test: (seconds[_file(test)], _file(test), order[test]))


def _file(test: str) -> str:
    return test.partition("::")[0]
