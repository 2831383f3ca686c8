"""Test mutants one after the other, each against the tests of its package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mutation.trial import START_SECONDS, try_out
from mutation.workspace import workspace

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from mutation.mutant import Mutant
    from mutation.targets import Target
    from mutation.trial import Trial


def trials(
    tree: Path, targets: Sequence[Target], mutants: Sequence[Mutant], patience: float = START_SECONDS
) -> Generator[Trial, None, None]:
    """In the order of `mutants`, each of which belongs to one of `targets`; `CleanRunFailed`.

    `patience` is as for `try_out`. The files at `tree` are only read. Close the iterator to end a run early.
    """
    used = [target for target in targets if any(target.owns(mutant) for mutant in mutants)]
    tests = sorted({folder for target in used for folder in target.tests})
    with workspace(tree) as copy:
        clean = copy.clean_run([target.package for target in used], tests)
        for mutant in mutants:
            target = next(target for target in used if target.owns(mutant))
            yield try_out(mutant, target, clean, copy, patience)
