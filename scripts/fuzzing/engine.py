"""The Docker backend over an engine whose answers are given: docker-py and the network are left out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from runscaler.backends.base import BackendContext, Resource, RunnerOrder, WatchCrashed
from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.backend import DockerBackend
from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.missed_ends import MissedEnds
from runscaler.backends.docker.watch import Watch
from runscaler.clock import SystemClock
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import BackendError
from runscaler.github.base import JitConfig
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId, RunnerName, SlotNumber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.backends.base import Observation

OWNER = OwnerId("0123456789abcdef" * 2)
RUNNER = RunnerName("runner-0011aabb")
SETTINGS = ScaleSetSettings(url="https://github.com/my-org", name="linux", token=Secret("t"))
SWEPT = SETTINGS.model_copy(
    update={"docker": DockerSettings(shared_volume="/s", shared_volume_ttl=60.0, prune_images_after=60.0)}
)
CLOCK = SystemClock()


class Answering:
    """Every method of docker-py's client answers with the same value; `events` yields those in it."""

    api_version = "1.43"

    def __init__(self, value: object) -> None:
        self._value = value
        self.listened, self.over = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Callable[..., object]:
        return lambda *_args, **_options: self._value

    def pull(self, *_args: object, **_options: object) -> object:
        return iter(self._value) if isinstance(self._value, list) else iter(())

    def events(self, **_options: object) -> Iterator[object]:
        yield from self._value if isinstance(self._value, list) else [self._value]
        self.listened.set()
        self.over.wait()

    def close(self) -> None:
        """There is nothing to close."""


def feed(value: object) -> None:
    """All calls of a backend to an engine that answers so. Raises what no backend may raise."""
    engine = Engine(EngineAddress("tcp://127.0.0.1:9"))
    engine._client = Answering(value)  # type: ignore[assignment]
    backend = DockerBackend(engine, BackendContext(OWNER, None, CLOCK))
    resource = Resource("c1", OWNER, SETTINGS.key, SlotNumber(0), RUNNER, 7, 1.0)
    jit = JitConfig(7, RUNNER, Secret("e30="))
    order = RunnerOrder(SETTINGS.key, SlotNumber(0), RUNNER, SETTINGS, lambda: jit, CLOCK.monotonic() + 9)
    calls: tuple[Callable[[], object], ...] = (
        backend.inventory,
        lambda: backend.runs_a_job(resource, Interrupt()),
        lambda: backend.start(order, Interrupt()),
        lambda: backend.check(SETTINGS),
        lambda: backend.prepare(SETTINGS, lambda *_: None, Interrupt()),
        lambda: backend.remove(resource, force=True, interrupt=Interrupt()),
        *(call for sweep in backend.sweeps([SWEPT]) for call in (sweep.plan, sweep.run) if call),
        lambda: backend.tidy_up([SWEPT], Interrupt()),
    )
    for call in calls:
        try:
            call()
        except BackendError as error:
            _ = str(error), error.fixes


def follow(events: object) -> None:
    """The watch of an engine that sends these events. Raises if it crashes."""
    engine, api, seen = Engine(EngineAddress("tcp://127.0.0.1:9")), Answering(events), []
    engine._client = api  # type: ignore[assignment]

    def report(observation: Observation) -> None:
        seen.append(observation)
        if isinstance(observation, WatchCrashed):
            api.listened.set()

    watch = Watch(engine, OWNER, CLOCK, 0.0, report, MissedEnds(engine.url, CLOCK, list))
    api.listened.wait(30)
    watch._stop.set()
    api.over.set()
    watch.stop()
    crashed = [one.error for one in seen if isinstance(one, WatchCrashed)]
    assert not crashed, crashed[0]
