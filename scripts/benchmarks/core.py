"""Jobs per second through the actors, with GitHub and the backend in memory.

The real `Autoscaler` runs whole jobs, each on a runner of its own: assigned, registered, started, job
started, job completed, runner ended, removed. One thread plays all runner agents and does each step at once,
so that only our own code and the two fakes are measured.

Three systems are measured in turn: one with few slots; one with many slots that are all in use; one with many
slots of which jobs that do not end hold all but a few, so that only as many slots are in use as in the first.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pykka

from benchmarks.counts import positive
from benchmarks.report import Figure, Goal, Report
from runscaler.autoscaler import Autoscaler
from runscaler.backends.memory import MemoryBackend
from runscaler.cli.run import SWITCH_SECONDS
from runscaler.clock import SystemClock
from runscaler.config.model import Config, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import HostError
from runscaler.events import Event, JobStarted, RunnerFailed, RunnerRemoved
from runscaler.testing.memory_github import MemoryGitHub

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from runscaler.backends.base import Resource

SCALE_SET = "bench"
PATIENCE = 300.0
TELLS = 100_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What `jobs` jobs took: wall-clock seconds, and processor seconds of all threads of this process."""

    jobs: int
    wall: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.jobs / self.wall

    @property
    def each(self) -> float:
        """Processor seconds per job."""
        return self.cpu / self.jobs


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of each system; `tell` is the processor seconds of a message with bare Pykka."""

    tell: float
    few: Cost
    many: Cost
    held: Cost

    def to_few(self, cost: Cost) -> float:
        return cost.each / self.few.each


class Agents:
    """All runner agents on one thread, a context; they do at once whatever they are asked to do."""

    def __init__(self, github: MemoryGitHub) -> None:
        self.engine: MemoryBackend | None = None
        self.holding = 0
        """How many of the jobs that start from now on do not end."""
        self._github = github
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="agents", daemon=True)

    def __enter__(self) -> Agents:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.put(None)
        self._thread.join()

    def started(self, resource: Resource) -> None:
        """The runner's container runs. Called on the thread that started it."""
        self._tasks.put(lambda: self._connect(resource))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    def _connect(self, resource: Resource) -> None:
        def later(_: object) -> None:
            self._tasks.put(lambda: self._run(resource))

        if self._github.runner_online(resource.runner_id, on_job=later) is not None:
            self._run(resource)

    def _run(self, resource: Resource) -> None:
        self._github.start_job(resource.runner_id)
        if self.holding:
            self.holding -= 1
            return
        self._github.finish_job(resource.runner_id)
        assert self.engine is not None
        self.engine.end(resource.id, 0)


class EventCounter:
    """Counts the events of a system; after the first runner that fails, waiting raises `HostError`."""

    def __init__(self, system: Autoscaler) -> None:
        self._changed = threading.Condition()
        self._counts: Counter[type[Event]] = Counter()
        self._failed = ""
        system.subscribe(self._hear)

    def wait_for(self, kind: type[Event], more: int) -> None:
        """Wait for `more` events of that kind since the last call; `HostError` after `PATIENCE` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._counts[kind] >= more or self._failed, PATIENCE):
                raise HostError(f"{self._counts[kind]} of {more} {kind.__name__} after {PATIENCE:.0f} s")
            if self._failed:
                raise HostError(f"a runner failed: {self._failed}")
            self._counts.clear()

    def _hear(self, event: Event) -> None:
        with self._changed:
            self._counts[type(event)] += 1
            if isinstance(event, RunnerFailed):
                self._failed = event.reason
            self._changed.notify()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=positive, default=5000, help="how many jobs each time")
    parser.add_argument(
        "--slots", type=positive, nargs=2, default=(10, 1000), metavar="N", help="few and many"
    )
    parser.add_argument("--rounds", type=positive, default=5, help="how often each is measured, in turn")


def run(arguments: argparse.Namespace) -> Report:
    few, many = arguments.slots
    sys.setswitchinterval(SWITCH_SECONDS)  # as the daemon does
    rounds = [_round(few, many, arguments.jobs) for _ in range(arguments.rounds)]
    conditions = {
        "jobs": arguments.jobs,
        "rounds": arguments.rounds,
        "switch interval": f"{sys.getswitchinterval():g} s",
    }
    return Report("core", _figures(few, many, rounds), conditions, _NOTES)


def _round(few: int, many: int, jobs: int) -> Round:
    return Round(
        _tell_seconds(), _measure(few, jobs), _measure(many, jobs), _measure(many, jobs, held=many - few)
    )


def _figures(few: int, many: int, rounds: Sequence[Round]) -> tuple[Figure, ...]:
    enough, flat = Goal(">=", 1000), Goal("<=", 1.2)
    some, all_, rest = f"{few} slots", f"{many} slots", f"{many} slots, {many - few} held"
    return (
        Figure.of("floor: bare tells", "1/s", (1 / one.tell for one in rounds)),
        Figure.of(f"jobs, {some}", "1/s", (one.few.rate for one in rounds), enough),
        Figure.of(f"jobs, {all_}", "1/s", (one.many.rate for one in rounds), enough),
        Figure.of(f"jobs, {rest}", "1/s", (one.held.rate for one in rounds), enough),
        Figure.of(f"processor a job, {some}", "ms", (one.few.each * 1e3 for one in rounds)),
        Figure.of(f"processor a job, {all_}", "ms", (one.many.each * 1e3 for one in rounds)),
        Figure.of(f"processor a job, {rest}", "ms", (one.held.each * 1e3 for one in rounds)),
        Figure.of(f"a job in bare tells, {some}", "×", (one.few.each / one.tell for one in rounds)),
        Figure.of(
            f"cost a job: {all_} / {some}", "×", (one.many.each / one.few.each for one in rounds), flat
        ),
        Figure.of(
            f"cost a job: {rest} / {some}", "×", (one.held.each / one.few.each for one in rounds), flat
        ),
    )


_NOTES = (
    "Cost is processor time of the whole process: the fakes and the agents are included, the log is off.",
    "Each system has had a job for each of its slots before, so that all actors are there.",
)


def _measure(slots: int, jobs: int, held: int = 0) -> Cost:
    """Start a system, warm it up, and measure `jobs` jobs on those of its slots that are not held."""
    clock = SystemClock(1)
    github = MemoryGitHub(clock)
    with tempfile.TemporaryDirectory(prefix="runscaler-bench-") as folder, Agents(github) as agents:
        backend = agents.engine = MemoryBackend(clock, on_start=agents.started)
        system = Autoscaler(
            _config(slots, Path(folder)), connect=github.connect, open_backend=lambda *_: backend
        )
        counter = EventCounter(system)
        with system:
            if not system.wait_ready(PATIENCE):
                raise HostError("the system did not get ready")
            _play(github, counter, RunnerRemoved, slots)
            agents.holding = held
            _play(github, counter, JobStarted, held)
            return _timed(lambda: _play(github, counter, RunnerRemoved, jobs), jobs)


def _play(github: MemoryGitHub, counter: EventCounter, until: type[Event], jobs: int) -> None:
    github.queue(SCALE_SET, jobs)
    counter.wait_for(until, jobs)


def _timed(work: Callable[[], None], jobs: int) -> Cost:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(jobs, time.perf_counter() - wall, time.process_time() - cpu)


def _config(slots: int, folder: Path) -> Config:
    settings = ScaleSetSettings(
        url="https://github.com/my-org", name=SCALE_SET, token=Secret("ghp_bench"), max_runners=slots
    )
    return Config(
        scale_sets=(settings,), state_dir=folder, health_port=0, drain_timeout=0.0, update_check=False
    )


class Listener(pykka.ThreadingActor):
    """Receives messages and does nothing with them."""

    use_daemon_thread = True

    def on_receive(self, message: object) -> object:
        return message


def _tell_seconds() -> float:
    """Processor seconds for sending and receiving one message with bare Pykka."""
    actor = Listener.start()
    cpu = time.process_time()
    for number in range(TELLS):
        actor.tell(number)
    actor.ask(None, timeout=PATIENCE)
    cpu = time.process_time() - cpu
    actor.stop()
    return cpu / TELLS
