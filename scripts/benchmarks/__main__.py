"""`python -m benchmarks NAME [options]`: run one benchmark and print its report."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from rich.console import Console

from benchmarks.report import table
from runscaler.errors import RunscalerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Report

NAMES = ("burst", "core", "scrape", "tart", "web")


class Benchmark(Protocol):
    """A module with a benchmark; the first line of its docstring is its help."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, arguments: argparse.Namespace) -> Report: ...


def main(words: Sequence[str]) -> int:
    arguments = _parser().parse_args(words)
    benchmark: Benchmark = arguments.benchmark
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = benchmark.run(arguments)
    except KeyboardInterrupt:
        return 130
    except RunscalerError as error:
        lines = (f"scripts/bench {arguments.name}: {error}", *(f"  {fix}" for fix in error.fixes))
        Console(stderr=True, soft_wrap=True).print("\n".join(lines), markup=False, highlight=False)
        return 1
    if arguments.as_json:
        sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n")
    else:
        Console().print(table(report))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure runscaler, and the floor below which no implementation could get.",
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name in NAMES:
        benchmark = cast("Benchmark", import_module(f"benchmarks.{name}"))
        about = (benchmark.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument(
            "--json", dest="as_json", action="store_true", help="print JSON instead of a table"
        )
        command.set_defaults(benchmark=benchmark)
        benchmark.add_arguments(command)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
