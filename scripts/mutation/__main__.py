"""`python -m mutation [PACKAGE ...]`: test a seeded sample of mutants and show those that no test notices."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.counts import positive

from mutation.report import Report, line_of
from mutation.run import trials
from mutation.targets import TARGETS, all_mutants, sample
from mutation.workspace import CleanRunFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mutation.mutant import Mutant
    from mutation.targets import Target

TREE = Path(__file__).parents[2]


def main(words: Sequence[str]) -> int:
    chosen = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    targets = chosen.targets or list(TARGETS.values())
    mutants = all_mutants(TREE, targets)
    if name := chosen.only or chosen.show:
        mutants = [mutant for mutant in mutants if mutant.id == name]
        if not mutants:
            sys.stderr.write(f"scripts/mutants: there is no mutant {name}; has its file changed?\n")
            return 2
    if chosen.show:
        sys.stdout.write(mutants[0].diff((TREE / mutants[0].path).read_bytes()))
        return 0
    return _test(chosen, targets, mutants)


def _test(chosen: argparse.Namespace, targets: Sequence[Target], mutants: list[Mutant]) -> int:
    """A line for each mutant while it runs (on standard error with `--json`), the report at the end."""
    progress = sys.stderr if chosen.as_json else sys.stdout
    picked = sample(mutants, chosen.count, random.Random(chosen.seed))
    report = Report(chosen.seed)
    code = 0
    print(f"seed {chosen.seed}: {len(picked)} of {len(mutants)} mutants", file=progress, flush=True)
    try:
        with closing(trials(TREE, targets, picked)) as running:
            for number, trial in enumerate(running, start=1):
                report.trials.append(trial)
                print(f"{number}/{len(picked)}  {line_of(trial)}", file=progress, flush=True)
    except CleanRunFailed as error:
        sys.stderr.write(f"{error}\nscripts/mutants: the tests do not pass without a mutant\n")
        return 1
    except KeyboardInterrupt:
        code = 130
    sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n" if chosen.as_json else report.summary())
    return code


def _target(name: str) -> Target:
    if name not in TARGETS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(TARGETS)}")
    return TARGETS[name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/mutants",
        description="Change the code in one place at a time, in a copy, and see whether a test fails.",
    )
    packages = f"{', '.join(TARGETS)}; all by default"
    parser.add_argument("targets", nargs="*", type=_target, metavar="PACKAGE", help=packages)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="which mutants")
    parser.add_argument("--count", type=positive, default=60, help="how many (60)")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--only", metavar="ID", help="test this mutant alone")
    one.add_argument("--show", metavar="ID", help="print what this mutant changes, and test nothing")
    parser.add_argument("--json", dest="as_json", action="store_true", help="one JSON object at the end")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
