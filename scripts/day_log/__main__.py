"""Plays the day and prints the daemon's log, a heading before each part."""

from __future__ import annotations

import sys
from tempfile import TemporaryDirectory

from chaos_plan.private_engine import PrivateEngine

from day_log.day import Day
from runscaler.clock import SystemClock


def main() -> None:
    form = sys.argv[1] if len(sys.argv) > 1 else "text"
    with (
        TemporaryDirectory(prefix="day-log-") as folder,
        PrivateEngine(SystemClock()) as engine,
        Day(folder, engine, form) as day,
    ):
        for part in day.parts:
            part()
            heading = (part.__doc__ or "").removesuffix(".")
            sys.stdout.write(f"== {heading} ==\n{day.new_lines()}\n")
            sys.stdout.flush()
        sys.stdout.write(f"== runner status, while GitHub was away ==\n{day.status}")


main()
