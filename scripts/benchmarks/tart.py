"""What starting a runner in a Tart VM costs beyond what the tart command itself takes.

The real `Autoscaler` uses its real GitHub client; the simulated GitHub is a process of its own, and tart is
the fake one, whose steps take as long as its settings say. Measures the time from the poll that brings the
job until the runner has been started in its VM, without the call for the JIT configuration, and compares it
with a bare script that makes the same calls on the same fake, in turn.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from benchmarks.bare_tart import CPU, MEMORY, start_cold, start_warm, warm_vm
from benchmarks.counts import positive
from benchmarks.programs import Simulator
from benchmarks.report import Figure, Goal, Report
from runscaler import __version__
from runscaler.autoscaler import Autoscaler
from runscaler.backends.tart import TartBackend
from runscaler.backends.tart.backend import SLOTS_VARIABLE
from runscaler.cli.run import SWITCH_SECONDS
from runscaler.clock import SystemClock
from runscaler.config.model import Config, ScaleSetSettings, TartSettings
from runscaler.config.secrets import Secret
from runscaler.errors import HostError
from runscaler.events import Event, JobCompleted, RunnerFailed, RunnerRemoved
from runscaler.github.client import connect
from runscaler.github.identity import Identity
from runscaler.github.pool import TransportPool
from runscaler.testing.fake_tart_host import IMAGE, FakeTart, demo_runner
from runscaler.testing.simulator import SimulatedGitHub

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from runscaler.backends.base import BackendContext, Place, Resource, RunnerOrder, WarmResource
    from runscaler.github.base import JitConfig, ScaleSetService, TroubleReport
    from runscaler.github.messages import Batch
    from runscaler.interrupt import Interrupt

SCALE_SET = "bench"
PATIENCE = 120.0
LONG_NAME = "too-long-for-a-socket-" + "x" * 80
STEPS = ("clone", "set", "boot_socket", "boot_agent", "exec_connect")
"""The steps of the fake that make up a cold start."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds from the job to its runner; `jit` of them were GitHub's; `floor` is the bare script's time."""

    total: float
    jit: float
    was_warm: bool
    floor: float = 0.0

    @property
    def ours(self) -> float:
        return self.total - self.jit


class Stopwatch:
    """Records when a job was seen, how long GitHub took to register its runner, and when that was started."""

    def __init__(self) -> None:
        self.seen = self.jit = 0.0
        self.turns: SimpleQueue[Turn] = SimpleQueue()
        self.warmed: SimpleQueue[None] = SimpleQueue()
        self.over: SimpleQueue[None] = SimpleQueue()
        """Gets two entries for each job: it was completed, and its runner was removed."""
        self.failures: list[str] = []

    def hear(self, event: Event) -> None:
        if isinstance(event, RunnerRemoved | JobCompleted):
            self.over.put(None)
        if isinstance(event, RunnerFailed):
            self.failures.append(event.reason)

    def begin(self) -> None:
        """Forget the job before; the next one is about to be queued."""
        self.seen = self.jit = 0.0

    def saw(self) -> None:
        """Only the first call after `begin` counts."""
        self.seen = self.seen or time.perf_counter()

    def started(self, *, was_warm: bool) -> None:
        self.turns.put(Turn(time.perf_counter() - self.seen, self.jit, was_warm))

    def wait(self, queue: SimpleQueue[T]) -> T:
        try:
            return queue.get(timeout=PATIENCE)
        except Empty:
            raise HostError(
                f"nothing happened for {PATIENCE:.0f} s: {self.failures or 'no failure'}"
            ) from None


class WatchedGitHub:
    """GitHub's client, with `poll` and `jit_config` measured."""

    def __init__(self, service: ScaleSetService, watch: Stopwatch) -> None:
        self._service, self._watch = service, watch

    def __getattr__(self, name: str) -> object:
        return getattr(self._service, name)

    def poll(self, *words: object, **more: object) -> Batch | None:
        batch = self._service.poll(*words, **more)
        if batch is not None and batch.statistics is not None and batch.statistics.assigned:
            self._watch.saw()
        return batch

    def jit_config(self, *words: object, **more: object) -> JitConfig:
        began = time.perf_counter()
        try:
            return self._service.jit_config(*words, **more)
        finally:
            self._watch.jit += time.perf_counter() - began


class WatchedTart(TartBackend):
    """The Tart backend, which also records when a runner was started and when a warm VM is ready."""

    def __init__(self, context: BackendContext, watch: Stopwatch, environ: dict[str, str]) -> None:
        super().__init__(context, environ=environ)
        self._watch = watch

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        resource = super().start(order, interrupt)
        self._watch.started(was_warm=bool(order.place.warm))
        return resource

    def make_warm(self, settings: ScaleSetSettings, place: Place, interrupt: Interrupt) -> WarmResource:
        warm = super().make_warm(settings, place, interrupt)
        self._watch.warmed.put(None)
        return warm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=positive, default=10, help="how often everything is measured")
    parser.add_argument(
        "--answer", type=float, default=0.2, metavar="SECONDS", help="how long GitHub takes for an answer"
    )


def run(arguments: argparse.Namespace) -> Report:
    sys.setswitchinterval(SWITCH_SECONDS)  # as the daemon does
    rounds: int = arguments.rounds
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name,
        Simulator(Path(name)) as github,
        FakeTart(Path(name) / "floor") as floor,
    ):
        floor.add_image(IMAGE, demo_runner(SimulatedGitHub.agent_path))
        own = sum(floor.latencies()[step] for step in STEPS)
        github.answer_after(arguments.answer)
        bench = Bench(Path(name).resolve(), github, floor, rounds)
        cold, fallback, warm = bench.cold("cold"), bench.cold(LONG_NAME), bench.warm("warm")
    conditions = {
        "rounds": rounds,
        "answer": f"{arguments.answer:g} s",
        "steps of the fake": f"{own:.2f} s",
        "load before": f"{load:.1f}",
    }
    return Report("tart", _figures(cold, fallback, warm), conditions, _NOTES)


class Bench:
    """One simulated GitHub, a fake tart for the floors, and another one for each system that is measured."""

    def __init__(self, folder: Path, github: Simulator, floor: FakeTart, rounds: int) -> None:
        self._folder, self._github, self._floor, self._rounds = folder, github, floor, rounds

    def cold(self, name: str) -> list[Turn]:
        """Boot a VM for each job. If `name` is too long for a socket, `tart exec` probes the guest agent."""
        with self._system(name, pool_size=0) as watch:
            return [self._turn(watch, start_cold(self._floor, IMAGE)) for _ in range(self._rounds)]

    def warm(self, name: str) -> list[Turn]:
        """Keep a booted VM for each job; as usual, the next one is made while it gets its runner."""
        with self._system(name, pool_size=1) as watch:
            return [self._warm_turn(watch) for _ in range(self._rounds)]

    def _warm_turn(self, watch: Stopwatch) -> Turn:
        with warm_vm(self._floor, IMAGE):
            floor = start_warm(self._floor)
        watch.wait(watch.warmed)
        turn = self._turn(watch, floor)
        if not turn.was_warm:
            raise HostError("a job came before the warm VM was ready")
        return turn

    def _turn(self, watch: Stopwatch, floor: float) -> Turn:
        watch.begin()
        self._github.queue(SCALE_SET, 1)
        turn = replace(watch.wait(watch.turns), floor=floor)
        for _ in ("completed", "removed"):
            watch.wait(watch.over)
        return turn

    @contextmanager
    def _system(self, name: str, pool_size: int) -> Iterator[Stopwatch]:
        folder, watch, clock = self._folder / name, Stopwatch(), SystemClock()
        pool, identity = TransportPool(clock), Identity(__version__)

        def github(settings: ScaleSetSettings, report: TroubleReport) -> WatchedGitHub:
            service = connect(settings, clock=clock, report=report, pool=pool, identity=identity)
            return WatchedGitHub(service, watch)

        with closing(pool), FakeTart(folder) as tart:
            tart.add_image(IMAGE, demo_runner(SimulatedGitHub.agent_path))
            environ = {**tart.environ, SLOTS_VARIABLE: str(folder / "slots")}
            system = Autoscaler(
                _config(self._github.url, pool_size, folder / "state"),
                connect=github,
                open_backend=lambda _, context: WatchedTart(context, watch, environ),
            )
            system.subscribe(watch.hear)
            with system:
                if not system.wait_ready(PATIENCE):
                    raise HostError("the system did not get ready")
                yield watch
            tart.assert_nothing_left()


def _config(github: str, pool_size: int, state_dir: Path) -> Config:
    settings = ScaleSetSettings(
        url=f"{github}/my-org",
        name=SCALE_SET,
        token=Secret("bench"),
        backend="tart",
        runner_image=IMAGE,
        max_runners=1,
        tart=TartSettings(pool_size=pool_size, cpu=CPU, memory=MEMORY, cache_cleanup=False),
    )
    return Config(
        scale_sets=(settings,), state_dir=state_dir, health_port=0, drain_timeout=0.0, update_check=False
    )


def _figures(cold: list[Turn], fallback: list[Turn], warm: list[Turn]) -> tuple[Figure, ...]:
    return (
        *_of("cold", cold, 0.100),
        *_of("cold by exec probes", fallback, None),
        *_of("warm", warm, 0.050),
    )


def _of(name: str, turns: list[Turn], goal: float | None) -> tuple[Figure, ...]:
    beyond = [(one.ours - one.floor) * 1000 for one in turns]
    return (
        Figure.of(f"{name}: job seen until its runner runs", "s", (one.total for one in turns)),
        Figure.of(f"{name}: of these GitHub's, for the JIT configuration", "s", (one.jit for one in turns)),
        Figure.of(f"{name}: floor, the same calls by a bare script", "s", (one.floor for one in turns)),
        Figure.of(f"{name}: beyond both", "ms", beyond, Goal("<=", goal * 1000) if goal else None),
    )


_NOTES = (
    "The guests of the fake are processes and its steps take set times: the totals say nothing about a Mac.",
    "The bare script has nothing else to do; with a warm VM the daemon makes the next one at the same time.",
)
