"""`python -m chaos_plan --seed N --minutes M`: one run, one line; at a violation all that is known of it."""

from __future__ import annotations

import argparse
import logging
import random
import signal
import sys
from typing import TYPE_CHECKING

from chaos_plan.luck import GroundKind, make_plan
from chaos_plan.making import MOST
from chaos_plan.run import run
from runscaler.errors import RunscalerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos_plan.run import Outcome

MINUTES_OF_A_WEEK = 7 * 24 * 60


def main(words: Sequence[str]) -> int:
    chosen = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.getLogger("waitress").addHandler(logging.NullHandler())  # it tells of each cut reply
    ground = GroundKind.OWN_ENGINE if chosen.own_engine else GroundKind(chosen.backend)
    if chosen.plan:
        plan = make_plan(chosen.seed, chosen.minutes * 60, tuple(MOST), ground)
        sys.stdout.write("".join(f"{line}\n" for line in (plan.setting, *plan.deeds)))
        return 0
    if sys.stderr.isatty():
        sys.stderr.write(f"seed {chosen.seed}, {ground}: things are broken for {chosen.minutes:g} min ...\n")
    try:
        outcome = run(chosen.seed, chosen.minutes * 60, ground)
    except KeyboardInterrupt:
        return 130
    except RunscalerError as error:
        lines = (f"scripts/chaos: {error}", *(f"  {fix}" for fix in error.fixes))
        sys.stderr.write("\n".join(lines) + "\n")
        return 1
    sys.stdout.write(f"{outcome.summary}\n")
    if outcome.breaches:
        sys.stderr.write(_report(outcome, chosen.minutes))
    return 1 if outcome.breaches else 0


def _report(outcome: Outcome, minutes: float) -> str:
    where = "--own-engine" if outcome.ground is GroundKind.OWN_ENGINE else f"--backend {outcome.ground}"
    again = f"scripts/chaos --seed {outcome.plan.seed} --minutes {minutes:g} {where}"
    found = "\n".join(f"  {breach}" for breach in outcome.breaches)
    return f"{outcome.story}\n\nviolations:\n{found}\nlogs: {outcome.folder}\nagain: {again}\n"


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
        prog="scripts/chaos", description="Break things around the real daemon, by a seeded plan."
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="which plan")
    parser.add_argument("--minutes", type=minutes, default=1.0, help="how long things are broken")
    parser.add_argument("--backend", choices=("process", "docker"), default="process")
    parser.add_argument(
        "--own-engine", action="store_true", help="containers, on an engine that is restarted too (as root)"
    )
    parser.add_argument("--plan", action="store_true", help="only print the plan")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
