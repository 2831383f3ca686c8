"""Jobs a second through the actors, GitHub and the backend in memory.

The real `Autoscaler` runs whole jobs, each on a runner of its own: assigned, registered, started, job
begun, job done, runner ended, removed. The agents are one thread that does all of that at once, so
what is measured is everything of ours, and the two fakes.
"""

from __future__ import annotations

import gc
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pykka

from benchmarks.report import Figure, Goal, Report
from runscaler.autoscaler import Autoscaler
from runscaler.backends.memory import MemoryBackend
from runscaler.clock import SystemClock
from runscaler.config.model import Config, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import HostError
from runscaler.events import Event, RunnerFailed, RunnerRemoved
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
    """Of a number of jobs: seconds on the wall, and of the processor (this process, all its threads)."""

    jobs: int
    wall: float
    cpu: float
    peak: int


class Agents:
    """All agents, on one thread: whatever a runner is asked to do, it has done at once."""

    def __init__(self, github: MemoryGitHub) -> None:
        self.engine: MemoryBackend | None = None
        self._github = github
        self._deeds: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="agents", daemon=True)

    def __enter__(self) -> Agents:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deeds.put(None)
        self._thread.join()

    def started(self, resource: Resource) -> None:
        """Its runner's container runs; called on the thread that started it."""
        self._deeds.put(lambda: self._connect(resource))

    def _work(self) -> None:
        while (deed := self._deeds.get()) is not None:
            deed()

    def _connect(self, resource: Resource) -> None:
        def later(_: object) -> None:
            self._deeds.put(lambda: self._run(resource))

        if self._github.runner_online(resource.runner_id, on_job=later) is not None:
            self._run(resource)

    def _run(self, resource: Resource) -> None:
        self._github.start_job(resource.runner_id)
        self._github.finish_job(resource.runner_id)
        assert self.engine is not None
        self.engine.end(resource.id, 0)


class Removals:
    """Counts runners that are gone, their slots empty again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._failed = ""

    def hear(self, event: Event) -> None:
        if not isinstance(event, RunnerRemoved | RunnerFailed):
            return
        with self._changed:
            self._count += 1
            if isinstance(event, RunnerFailed):
                self._failed = event.reason
            self._changed.notify()

    def wait_for(self, more: int) -> None:
        """Until that many are gone, beginning at the last time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count >= more or self._failed, PATIENCE):
                raise HostError(f"only {self._count} of {more} runners were gone after {PATIENCE:.0f} s")
            if self._failed:
                raise HostError(f"a runner failed: {self._failed}")
            self._count = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=5000, help="how many jobs each time")
    parser.add_argument("--slots", type=int, nargs=2, default=(10, 1000), metavar="N", help="few and many")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turn")


def run(arguments: argparse.Namespace) -> Report:
    few, many = arguments.slots
    rounds = [
        (_tell_seconds(), _measure(few, arguments.jobs), _measure(many, arguments.jobs))
        for _ in range(arguments.rounds)
    ]
    conditions = {"jobs": arguments.jobs, "rounds": arguments.rounds}
    return Report("core", _figures(few, many, rounds), conditions, _notes(many, rounds))


def _figures(few: int, many: int, rounds: Sequence[tuple[float, Cost, Cost]]) -> tuple[Figure, ...]:
    at_few, at_many = [one for _, one, _ in rounds], [one for _, _, one in rounds]
    enough = Goal(">=", 1000)
    return (
        Figure.of("floor: tells between two threads", "1/s", (1 / tell for tell, _, _ in rounds)),
        Figure.of(f"jobs, {few} slots", "1/s", (one.jobs / one.wall for one in at_few), enough),
        Figure.of(f"jobs, {many} slots", "1/s", (one.jobs / one.wall for one in at_many), enough),
        Figure.of(f"processor a job, {few} slots", "ms", (one.cpu / one.jobs * 1e3 for one in at_few)),
        Figure.of(f"processor a job, {many} slots", "ms", (one.cpu / one.jobs * 1e3 for one in at_many)),
        Figure.of(f"a job in tells, {few} slots", "×", (a.cpu / a.jobs / tell for tell, a, _ in rounds)),
        Figure.of(
            f"processor a job, {many} slots to {few}",
            "×",
            (b.cpu / b.jobs / (a.cpu / a.jobs) for _, a, b in rounds),
            Goal("<=", 1.2),
        ),
        Figure.of(
            f"time a job, {many} slots to {few}",
            "×",
            (b.wall / b.jobs / (a.wall / a.jobs) for _, a, b in rounds),
            Goal("<=", 1.2),
        ),
    )


def _notes(many: int, rounds: Sequence[tuple[float, Cost, Cost]]) -> tuple[str, ...]:
    peak = max(one.peak for _, _, one in rounds)
    return (
        f"At most {peak} of {many} slots held a runner at once.",
        "Measured after as many jobs as there are slots; the log is off; the fakes and agents are included.",
    )


def _measure(slots: int, jobs: int) -> Cost:
    """A system of its own: first a job for each slot, so that all actors are there, then the jobs."""
    clock = SystemClock(1)
    github = MemoryGitHub(clock)
    with tempfile.TemporaryDirectory(prefix="runscaler-bench-") as folder, Agents(github) as agents:
        backend = agents.engine = MemoryBackend(clock, on_start=agents.started)
        system = Autoscaler(
            _config(slots, Path(folder)), connect=github.connect, open_backend=lambda *_: backend
        )
        removals = Removals()
        system.subscribe(removals.hear)
        with system:
            if not system.wait_ready(PATIENCE):
                raise HostError("the system did not get ready")
            _play(github, removals, slots)
            return _timed(lambda: _play(github, removals, jobs), jobs, backend)


def _play(github: MemoryGitHub, removals: Removals, jobs: int) -> None:
    github.queue(SCALE_SET, jobs)
    removals.wait_for(jobs)


def _timed(work: Callable[[], None], jobs: int, backend: MemoryBackend) -> Cost:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(jobs, time.perf_counter() - wall, time.process_time() - cpu, backend.engine.peak)


def _config(slots: int, folder: Path) -> Config:
    settings = ScaleSetSettings(
        url="https://github.com/my-org", name=SCALE_SET, token=Secret("ghp_bench"), max_runners=slots
    )
    return Config(
        scale_sets=(settings,), state_dir=folder, health_port=0, drain_timeout=0.0, update_check=False
    )


class Counter(pykka.ThreadingActor):
    """Does nothing with a message but take it."""

    use_daemon_thread = True

    def on_receive(self, message: object) -> object:
        return message


def _tell_seconds() -> float:
    """Processor seconds of a bare Pykka tell, taken by the other side."""
    actor = Counter.start()
    cpu = time.process_time()
    for number in range(TELLS):
        actor.tell(number)
    actor.ask(None, timeout=PATIENCE)
    cpu = time.process_time() - cpu
    actor.stop()
    return cpu / TELLS
