"""What a scrape of /metrics costs, and what it does to the reaction time, at 100 scale sets with 1,000 slots.

The real `Autoscaler` with its health server, GitHub and the backend in memory. Nine of ten slots hold a job
that does not end; a steady stream of jobs goes through the rest. It is measured without scrapes, and with
several a second, where Prometheus makes one in 15 s. The first scrape, which makes the texts of all labels,
is a figure of its own.
"""

from __future__ import annotations

import http.client
import socket
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from benchmarks.core import PATIENCE, Agents, EventCounter
from benchmarks.counts import positive
from benchmarks.report import Figure, Goal, Report
from runscaler.autoscaler import Autoscaler
from runscaler.backends.memory import MemoryBackend
from runscaler.cli.run import SWITCH_SECONDS
from runscaler.clock import SystemClock
from runscaler.config.model import Config, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import HostError
from runscaler.events import Event, JobStarted, RunnerStarted
from runscaler.testing.memory_github import MemoryGitHub
from runscaler.web.metrics import MetricsPage

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

HOST = "127.0.0.1"


@dataclass(slots=True)
class Stretch:
    """One stretch of the stream: seconds from each demand to its runner, and of each scrape over HTTP."""

    reactions: list[float] = field(default_factory=list)
    scrapes: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Round:
    first: float
    """Seconds that the first scrape took over HTTP."""
    quiet: Stretch
    scraped: Stretch
    interpreter: float
    """Processor seconds of the thread that writes one page while the stream flows; the median."""
    samples: int
    size: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sets", type=positive, default=100, help="how many scale sets")
    parser.add_argument("--slots", type=positive, default=10, help="slots of each")
    parser.add_argument("--rate", type=positive, default=50, help="jobs a second")
    parser.add_argument("--seconds", type=positive, default=10, help="how long each stretch is")
    parser.add_argument("--scrapes", type=positive, default=5, help="scrapes a second")
    parser.add_argument("--rounds", type=positive, default=3, help="how often it is measured")


def run(arguments: argparse.Namespace) -> Report:
    sys.setswitchinterval(SWITCH_SECONDS)  # as the daemon does
    rounds = [_round(arguments) for _ in range(arguments.rounds)]
    conditions = {
        name: getattr(arguments, name) for name in ("sets", "slots", "rate", "seconds", "scrapes", "rounds")
    }
    return Report("scrape", _figures(rounds), conditions, _NOTES)


_NOTES = (
    "Interpreter time is that of the thread that writes the page, while jobs flow.",
    "The reaction is from the demand to the running runner, whose backend takes no time.",
)


def _figures(rounds: Sequence[Round]) -> tuple[Figure, ...]:
    def reaction(name: str, percent: int, *, scraped: bool, goal: Goal | None = None) -> Figure:
        stretches = (one.scraped if scraped else one.quiet for one in rounds)
        return Figure.of(name, "ms", (_percentile(one.reactions, percent) * 1e3 for one in stretches), goal)

    return (
        Figure.of("samples of a scrape", "", (one.samples for one in rounds)),
        Figure.of("size of a scrape", "KiB", (one.size / 1024 for one in rounds)),
        Figure.of(
            "interpreter time of a scrape", "ms", (one.interpreter * 1e3 for one in rounds), Goal("<=", 15)
        ),
        Figure.of("first scrape over HTTP", "ms", (one.first * 1e3 for one in rounds)),
        Figure.of(
            "scrape over HTTP, median", "ms", (_percentile(one.scraped.scrapes, 50) * 1e3 for one in rounds)
        ),
        Figure.of(
            "scrape over HTTP, p99",
            "ms",
            (_percentile(one.scraped.scrapes, 99) * 1e3 for one in rounds),
            Goal("<=", 50),
        ),
        reaction("reaction without scrapes, p50", 50, scraped=False),
        reaction("reaction with scrapes, p50", 50, scraped=True, goal=Goal("<=", 10)),
        reaction("reaction without scrapes, p99", 99, scraped=False),
        reaction("reaction with scrapes, p99", 99, scraped=True, goal=Goal("<=", 50)),
    )


def _percentile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        raise HostError("too little was measured: take longer stretches")
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def _round(arguments: argparse.Namespace) -> Round:
    clock = SystemClock(1)
    github = MemoryGitHub(clock)
    with tempfile.TemporaryDirectory(prefix="runscaler-bench-") as folder, Agents(github) as agents:
        backend = agents.engine = MemoryBackend(clock, on_start=agents.started)
        config = _config(arguments, Path(folder))
        system = Autoscaler(config, connect=github.connect, open_backend=lambda *_: backend)
        counter = EventCounter(system)
        with system:
            if not system.wait_ready(PATIENCE):
                raise HostError("the system did not get ready")
            _hold(github, agents, counter, arguments)
            _stream(system, github, arguments, scrapes=0)  # so that all actors and texts are there
            quiet = _stream(system, github, arguments, scrapes=0)
            first = _timed_scrape(_connection(system))
            scraped = _stream(system, github, arguments, scrapes=arguments.scrapes)
            interpreter, body = _interpreter_seconds(system, github, arguments)
    samples = sum(not line.startswith(b"#") for line in body.splitlines())
    return Round(first, quiet, scraped, interpreter, samples, len(body))


def _hold(github: MemoryGitHub, agents: Agents, counter: EventCounter, arguments: argparse.Namespace) -> None:
    """All slots of each scale set but one get a job that does not end."""
    held = (arguments.slots - 1) * arguments.sets
    agents.holding = held
    for number in range(arguments.sets):
        github.queue(_name(number), arguments.slots - 1)
    if held:
        counter.wait_for(JobStarted, held)


def _stream(system: Autoscaler, github: MemoryGitHub, arguments: argparse.Namespace, scrapes: int) -> Stretch:
    """Jobs at an even pace, in the scale sets in turn, and perhaps scrapes beside them."""
    stretch, ended = Stretch(), threading.Event()

    def hear(event: Event) -> None:
        if isinstance(event, RunnerStarted):
            stretch.reactions.append(event.seconds)

    unsubscribe = system.subscribe(hear)
    scraper = threading.Thread(target=_scrape, args=(system, scrapes, ended, stretch.scrapes))
    if scrapes:
        scraper.start()
    _queue_evenly(github, arguments)
    ended.set()
    if scrapes:
        scraper.join()
    unsubscribe()
    return stretch


def _queue_evenly(github: MemoryGitHub, arguments: argparse.Namespace) -> None:
    began = time.monotonic()
    for number in range(arguments.rate * arguments.seconds):
        time.sleep(max(0.0, began + number / arguments.rate - time.monotonic()))
        github.queue(_name(number % arguments.sets), 1)


def _scrape(system: Autoscaler, per_second: int, ended: threading.Event, seconds: list[float]) -> None:
    with closing(_connection(system)) as connection:
        while not ended.wait(1 / per_second):
            seconds.append(_timed_scrape(connection))


def _connection(system: Autoscaler) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(HOST, system.health_port, timeout=PATIENCE)


def _timed_scrape(connection: http.client.HTTPConnection) -> float:
    began = time.perf_counter()
    connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})  # as Prometheus does
    connection.getresponse().read()
    return time.perf_counter() - began


def _interpreter_seconds(
    system: Autoscaler, github: MemoryGitHub, arguments: argparse.Namespace
) -> tuple[float, bytes]:
    """While the stream flows. The first page makes the texts of all labels, and is not counted."""
    page, clock = MetricsPage(system.metrics), SystemClock(1)
    page.reply(system.status(), clock.wall())
    stream = threading.Thread(target=_queue_evenly, args=(github, arguments))
    stream.start()
    spent, body = [], b""
    while stream.is_alive():
        time.sleep(1 / arguments.scrapes)
        began = time.thread_time()
        body = page.reply(system.status(), clock.wall()).body
        spent.append(time.thread_time() - began)
    stream.join()
    return _percentile(spent, 50), body


def _name(number: int) -> str:
    return f"set-{number}"


def _config(arguments: argparse.Namespace, folder: Path) -> Config:
    sets = tuple(
        ScaleSetSettings(
            url="https://github.com/my-org",
            name=_name(number),
            token=Secret("ghp_bench"),
            max_runners=arguments.slots,
        )
        for number in range(arguments.sets)
    )
    return Config(
        scale_sets=sets, state_dir=folder, health_port=_free_port(), drain_timeout=0.0, update_check=False
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
