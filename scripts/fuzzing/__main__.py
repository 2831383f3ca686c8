"""`python -m fuzzing`: all targets in turn until the time is up. Exit code 1 if one of them failed."""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import FlakyFailure
from loguru import logger

from fuzzing.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fuzzing.targets import Target

CORPUS = Path(__file__).parents[2] / "tests" / "fuzz_corpus"
EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
ROUND = 300
"""Inputs for one target before the next has its turn."""


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--guided", action="store_true", help="by atheris, a process for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    given_ = parser.parse_args(words)
    names = [target.name for target in TARGETS]
    if given_.list:
        say("\n".join(names))
        return 0
    if unknown := set(given_.targets) - set(names):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    logger.remove()  # of tens of thousands of warnings about the inputs
    chosen = [target for target in TARGETS if not given_.targets or target.name in given_.targets]
    search = guided if given_.guided else fuzz
    counts, failed = search(chosen, given_.seconds, given_.seed)
    for target in chosen:
        say(f"{target.name:15} {counts[target.name]:9,} inputs{'   FAILED' if target.name in failed else ''}")
    say(f"{'in all':15} {counts.total():9,} inputs in {given_.seconds:.0f} s, seed {given_.seed}")
    return 1 if failed else 0


def fuzz(targets: Sequence[Target], seconds: float, first_seed: int) -> tuple[Counter[str], set[str]]:
    """The inputs tried for each target, and those that failed, which are not tried again."""
    deadline, counts, failed = time.monotonic() + seconds, Counter[str](), set[str]()
    number = first_seed
    while time.monotonic() < deadline and len(failed) < len(targets):
        for target in targets:
            if target.name not in failed and time.monotonic() < deadline:
                number += 1
                if not one_round(target, number, counts):
                    failed.add(target.name)
    return counts, failed


def guided(targets: Sequence[Target], seconds: float, seed: int) -> tuple[Counter[str], set[str]]:
    """The same by a search that is guided by the code that inputs reach, an equal time for each target."""
    counts, failed = Counter[str](), set[str]()
    for target in targets:
        words = (target.name, str(max(1, round(seconds / len(targets)))), str(seed))
        done = subprocess.run(
            [sys.executable, "-m", "fuzzing.guided", *words],
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
        )
        if executed := EXECUTED.search(done.stderr):
            counts[target.name] = int(executed[1])
        if done.returncode:
            failed.add(target.name)
            say(f"{target.name}:\n{done.stderr[-3000:]}")
    return counts, failed


def one_round(target: Target, number: int, counts: Counter[str]) -> bool:
    """False if the target failed: its input, made small, is in the corpus then."""
    failing: list[bytes] = []

    @seed(number)
    @settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(target.inputs)
    def run(data: bytes) -> None:
        counts[target.name] += 1
        try:
            target.run(data)
        except Exception:
            failing.append(data)
            raise

    try:
        run()
    except (Exception, FlakyFailure) as error:
        if not failing:
            raise
        path = keep(target, failing[-1])
        say(
            f"{target.name}: {type(error).__name__}: {str(error)[:200]}\n  its input is kept: {path}",
        )
        return False
    return True


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def keep(target: Target, data: bytes) -> Path:
    path = CORPUS / target.name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
