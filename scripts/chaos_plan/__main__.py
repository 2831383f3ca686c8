"""`python -m chaos_plan --seed N --minutes M`: execute a plan and print one line, or its violations."""

from __future__ import annotations

import argparse
import logging
import random
import signal
import sys
from typing import TYPE_CHECKING

from chaos_plan.plan_generator import TargetKind, make_plan
from chaos_plan.run import run
from chaos_plan.run_setup import MAX_RUNNERS
from runscaler.errors import RunscalerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos_plan.run import Outcome

MINUTES_OF_A_WEEK = 7 * 24 * 60


def main(words: Sequence[str]) -> int:
    chosen = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.getLogger("waitress").addHandler(
        logging.NullHandler()
    )  # it logs every reply that a fault cuts off
    target = TargetKind.OWN_ENGINE if chosen.own_engine else TargetKind(chosen.backend)
    if chosen.plan:
        plan = make_plan(chosen.seed, chosen.minutes * 60, tuple(MAX_RUNNERS), target)
        sys.stdout.write("".join(f"{line}\n" for line in (plan.settings, *plan.actions)))
        return 0
    if sys.stderr.isatty():
        sys.stderr.write(f"seed {chosen.seed}, {target}: things are broken for {chosen.minutes:g} min ...\n")
    try:
        outcome = run(chosen.seed, chosen.minutes * 60, target)
    except KeyboardInterrupt:
        return 130
    except RunscalerError as error:
        lines = (f"scripts/chaos: {error}", *(f"  {fix}" for fix in error.fixes))
        sys.stderr.write("\n".join(lines) + "\n")
        return 1
    sys.stdout.write(f"{outcome.summary}\n")
    if outcome.violations:
        sys.stderr.write(_report(outcome, chosen.minutes))
    return 1 if outcome.violations else 0


def _report(outcome: Outcome, minutes: float) -> str:
    where = "--own-engine" if outcome.target is TargetKind.OWN_ENGINE else f"--backend {outcome.target}"
    again = f"scripts/chaos --seed {outcome.plan.seed} --minutes {minutes:g} {where}"
    found = "\n".join(f"  {violation}" for violation in outcome.violations)
    return f"{outcome.timeline}\n\nviolations:\n{found}\nlogs: {outcome.folder}\nagain: {again}\n"


def minutes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.0 < number < MINUTES_OF_A_WEEK:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes above 0")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Break things around the real daemon by a seeded plan, then check that nothing was lost.",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="selects the plan")
    parser.add_argument("--minutes", type=minutes, default=1.0, help="length of the plan (1)")
    parser.add_argument(
        "--backend", choices=("process", "docker"), default="process", help="where runners run"
    )
    parser.add_argument(
        "--own-engine",
        action="store_true",
        help="run containers on a private engine, which is restarted too (as root)",
    )
    parser.add_argument("--plan", action="store_true", help="print the plan and do nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
