"""Many jobs at once on a real Docker engine, with a GitHub that takes 200 ms for each answer.

Measures the time from queueing the jobs until all containers run, and compares it with a bare thread pool
that creates and starts the same containers on the same engine. The daemon and the simulated GitHub are
processes of their own. In all cases the engine's event stream tells when a container runs.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.bare_engine import BareEngine, StartWatch, create_all, engine_url
from benchmarks.counts import positive
from benchmarks.programs import Daemon, Simulator
from benchmarks.report import Figure, Goal, Report
from runscaler.backends.base import BackendContext, RunnerOrder
from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.container import create_body
from runscaler.backends.docker.labels import labels_for
from runscaler.clock import SystemClock
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import BackendError, HostError
from runscaler.github.base import JitConfig
from runscaler.names import OwnerId, SlotNumber, new_runner_name
from runscaler.ops.demo_image import ensure_demo_image

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

SCALE_SET = "bench"
JIT_SIZE = 1200
JIT_CALLS = 8
COMMAND = "sleep 3600"
PAUSE_SECONDS = 0.5
"""Between two measurements, for what the engine still does in the backbench."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Sorted seconds from the start until each container was created and started, and processor seconds."""

    created: tuple[float, ...]
    started: tuple[float, ...]
    daemon_cpu: float = 0.0
    github_cpu: float = 0.0

    @property
    def seconds(self) -> float:
        return self.started[-1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=positive, default=50, help="how many jobs at once")
    parser.add_argument(
        "--rounds", type=positive, default=5, help="how often everything is measured, in turn"
    )
    parser.add_argument(
        "--widths", type=positive, nargs="+", default=(8, 12, 16), metavar="N", help="sizes of the bare pool"
    )
    parser.add_argument(
        "--answer", type=float, default=0.2, metavar="SECONDS", help="how long GitHub takes for an answer"
    )
    parser.add_argument("--network", default="", help="network of the containers, as [docker] network")


def run(arguments: argparse.Namespace) -> Report:
    with _bench(arguments) as bench:
        contenders = bench.contenders()
        found: dict[str, list[Burst]] = {name: [] for name in contenders}
        for number in range(arguments.rounds):
            for name in _rotated(list(contenders), number):
                found[name].append(bench.measure(contenders[name]))
        conditions = {
            "jobs": arguments.jobs,
            "rounds": arguments.rounds,
            "answer": f"{arguments.answer:g} s",
            "network": arguments.network or "default",
        }
        return Report("burst", _figures(found), conditions, _NOTES)


@contextmanager
def _bench(arguments: argparse.Namespace) -> Iterator[Bench]:
    url = engine_url()
    image = ensure_demo_image(EngineAddress(url), lambda _what, _done, _total: None)
    with tempfile.TemporaryDirectory(prefix="runscaler-bench-") as folder:
        bench = Bench(url, image, Path(folder).resolve(), arguments)
        try:
            yield bench
        finally:
            bench.clear()


class Bench:
    """One engine, and the competing ways to start the same containers on it."""

    def __init__(self, url: str, image: str, folder: Path, arguments: argparse.Namespace) -> None:
        self._url, self._image, self._folder = url, image, folder
        self._jobs: int = arguments.jobs
        self._widths: Sequence[int] = arguments.widths
        self._answer: float = arguments.answer
        self._network: str = arguments.network
        self._state_dir = folder / "state"
        self._label = f"io.runscaler.state-dir={self._state_dir}"

    def contenders(self) -> dict[str, Callable[[], Burst]]:
        bare = {f"pool {width}": self._pool_of(width, 0.0) for width in self._widths}
        middle = sorted(self._widths)[len(self._widths) // 2]
        return {"daemon": self._by_daemon, "paced": self._pool_of(middle, self._answer), **bare}

    def measure(self, start_all: Callable[[], Burst]) -> Burst:
        burst = start_all()
        self.clear()
        time.sleep(PAUSE_SECONDS)
        return burst

    def clear(self) -> None:
        engine = BareEngine(self._url, 8)
        engine.remove_labelled(self._label)
        engine.close()

    def _by_daemon(self) -> Burst:
        with (
            tempfile.TemporaryDirectory(dir=self._folder) as folder,
            StartWatch(self._url, self._label) as watch,
            Simulator(Path(folder)) as github,
            Daemon(Path(folder), self._state_dir, self._config(github.url)) as daemon,
        ):
            github.answer_after(self._answer)
            before = daemon.cpu(), github.cpu()
            began = time.perf_counter()
            github.queue(SCALE_SET, self._jobs)
            try:
                watch.wait_for(self._jobs)
            except BackendError as error:
                raise HostError(f"{error}; the daemon said:\n{daemon.output()}") from error
            used = daemon.cpu() - before[0], github.cpu() - before[1]
            return _burst(watch, began, *used)

    def _pool_of(self, width: int, answer: float) -> Callable[[], Burst]:
        """A bare pool; with `answer`, containers start only when GitHub could have sent their JIT."""

        def by_pool() -> Burst:
            orders = [self._order(number) for number in range(self._jobs)]
            engine = BareEngine(self._url, width)
            with StartWatch(self._url, self._label) as watch:
                began = time.perf_counter()

                def hold(number: int) -> None:
                    due = began + answer * (number // JIT_CALLS + 1)
                    time.sleep(max(0.0, due - time.perf_counter()) if answer else 0.0)

                create_all(engine, width, orders, hold)
                watch.wait_for(self._jobs)
            engine.close()
            return _burst(watch, began)

        return by_pool

    def _order(self, number: int) -> tuple[str, dict[str, object]]:
        """Name and request body of a container, made by the backend's own functions."""
        runner = new_runner_name()
        settings = self._settings()
        jit = JitConfig(number + 1, runner, Secret("A" * JIT_SIZE))
        order = RunnerOrder(settings.key, SlotNumber(number), runner, settings, lambda: jit, 0.0)
        context = BackendContext(OwnerId("0" * 32), self._state_dir, SystemClock())
        return str(runner), create_body(settings, jit.encoded, labels_for(order, jit, context))

    def _settings(self) -> ScaleSetSettings:
        docker = DockerSettings(host=self._url, dind=False, network=self._network, run_command=COMMAND)
        return ScaleSetSettings(
            url="http://127.0.0.1:1/my-org",
            name=SCALE_SET,
            token=Secret("bench"),
            runner_image=self._image,
            docker=docker,
        )

    def _config(self, github: str) -> dict[str, object]:
        docker = {"host": self._url, "dind": False, "pull": "never", "run-command": COMMAND}
        quiet = {"prune-on-exit": False, "buildx-cleanup": False}
        network = {"network": self._network} if self._network else {}
        return {
            "url": f"{github}/my-org",
            "name": SCALE_SET,
            "token": "ghp_bench",
            "max-runners": self._jobs,
            "drain-timeout": 0,
            "backend": "docker",
            "runner-image": self._image,
            "docker": {**docker, **quiet, **network},
        }


def _burst(watch: StartWatch, began: float, daemon_cpu: float = 0.0, github_cpu: float = 0.0) -> Burst:
    created = tuple(at - began for at in watch.times("create"))
    return Burst(created, tuple(at - began for at in watch.times("start")), daemon_cpu, github_cpu)


def _rotated(names: Sequence[str], by: int) -> list[str]:
    """Each round starts with a different one, so that none always follows the same other one."""
    cut = by % len(names)
    return [*names[cut:], *names[:cut]]


def _figures(found: dict[str, list[Burst]]) -> tuple[Figure, ...]:
    ours, paced = found["daemon"], found["paced"]
    pools = {name: bursts for name, bursts in found.items() if name.startswith("pool")}
    best = min(pools, key=lambda name: median(one.seconds for one in pools[name]))
    floor = pools[best]
    return (
        Figure.of("until all run", "s", (one.seconds for one in ours)),
        *(
            Figure.of(f"floor: {name} wide", "s", (one.seconds for one in all_))
            for name, all_ in pools.items()
        ),
        Figure.of("floor: pool paced as GitHub answers", "s", (one.seconds for one in paced)),
        Figure.of(f"to the best floor ({best})", "×", _ratios(ours, floor), Goal("<=", 1.10)),
        Figure.of("to the paced floor", "×", _ratios(ours, paced)),
        Figure.of("paced floor to the best", "×", _ratios(paced, floor)),
        Figure.of("first container created after", "s", (one.created[0] for one in ours)),
        Figure.of("last container created after", "s", (one.created[-1] for one in ours)),
        Figure.of("processor of the daemon", "s", (one.daemon_cpu for one in ours)),
        Figure.of("processor of the simulated GitHub", "s", (one.github_cpu for one in ours)),
    )


def _ratios(ours: Sequence[Burst], floor: Sequence[Burst]) -> list[float]:
    return [one.seconds / other.seconds for one, other in zip(ours, floor, strict=True)]


_NOTES = (
    "Paced: a container starts only when GitHub could have answered the call for its JIT, 8 calls at a time.",
    "No autoscaler can be faster than that; what is above it is our time and the simulator's processor time.",
)
