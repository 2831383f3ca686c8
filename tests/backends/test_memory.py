from __future__ import annotations

import threading

import pytest

from runscaler.backends.base import BackendAvailable, BackendUnavailable, ResourceEnded, ResourceState
from runscaler.backends.memory import MemoryBackend, MemoryEngine
from runscaler.clock import SystemClock
from runscaler.config.model import ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import BackendDown, BackendError, Interrupted, StartFailed
from runscaler.findings import Finding, Level
from runscaler.interrupt import Interrupt
from runscaler.testing.backend_contract import (
    PATIENCE,
    BackendContract,
    OnSigterm,
    Orders,
    RunnerScript,
)
from runscaler.testing.backend_rig import TERMINATED
from runscaler.testing.clock import FakeClock

URL = "https://github.com/my-org"


class ScriptedBackend(MemoryBackend):
    """Plays the contract's script, which the set's labels carry."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, on_terminate=self._terminated, **options)
        self._on_sigterm = {}

    def check(self, settings):
        broken = settings.runner_image == "missing"
        return [Finding(Level.ERROR, "missing")] if broken else super().check(settings)

    def start(self, order, interrupt):
        if order.settings.runner_image == "missing":
            raise StartFailed("missing")
        resource = super().start(order, interrupt)
        lines, exit_code, _ = order.settings.labels
        self.engine.write(resource.id, RunnerScript(int(lines)).output)
        if exit_code != "None":
            self.end(resource.id, int(exit_code))
        self._on_sigterm[resource.id] = OnSigterm(order.settings.labels[2])
        return resource

    def _terminated(self, resource):
        does = self._on_sigterm[resource.id]
        if does is not OnSigterm.DIES:
            self.engine.write(resource.id, TERMINATED)
        if does is not OnSigterm.STAYS:
            self.end(resource.id, 143)


class MemoryRig:
    def __init__(self) -> None:
        self.engine = MemoryEngine()

    def open(self, owner):
        return ScriptedBackend(SystemClock(), owner=owner, engine=self.engine)

    def settings(self, script):
        labels = (str(script.lines), str(script.exit_code), script.on_sigterm.value)
        return ScaleSetSettings(url=URL, name="Größe \"1\" = 'a'", token=Secret("t"), labels=labels)

    def unusable_settings(self):
        return ScaleSetSettings(url=URL, name="broken", token=Secret("t"), runner_image="missing")

    def destroy(self, resource):
        self.engine.vanish(resource.id)

    def leftovers(self):
        return list(self.engine._resources)


class TestMemoryContract(BackendContract):
    @pytest.fixture
    def rig(self):
        return MemoryRig()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def backend(clock):
    return MemoryBackend(clock)


@pytest.fixture
def orders():
    return Orders(MemoryRig())


def test_a_failure_is_raised_once_by_the_call_it_is_meant_for(backend, orders):
    backend.fail_next("start", StartFailed("no room"))
    assert backend.inventory() == []

    with pytest.raises(StartFailed, match="no room"):
        backend.start(orders.make(), Interrupt())

    assert backend.start(orders.make(), Interrupt()).state is ResourceState.RUNNING


def test_a_blocked_call_goes_on_when_it_is_released(backend, orders):
    gate = backend.block("start")
    started = []
    thread = threading.Thread(target=lambda: started.append(backend.start(orders.make(), Interrupt())))
    thread.start()
    assert gate.entered.wait(PATIENCE)
    assert backend.inventory() == []

    gate.release()
    thread.join(PATIENCE)

    assert backend.inventory() == started


def test_a_blocked_call_ends_when_it_is_interrupted(backend, orders):
    gate, interrupt = backend.block("start"), Interrupt()
    thread = threading.Thread(target=lambda: (gate.entered.wait(PATIENCE), interrupt.set()))
    thread.start()

    with pytest.raises(Interrupted):
        backend.start(orders.make(), interrupt)

    thread.join(PATIENCE)
    assert backend.inventory() == []


def test_latency_passes_on_the_clock_and_beyond_the_deadline_a_start_fails(clock, orders):
    order = orders.make()
    backend = MemoryBackend(clock, latency=2.0)
    began = order.deadline - 5.0 - clock.monotonic()
    clock.advance(began)

    backend.start(order, Interrupt())
    assert clock.pauses == [2.0]

    backend.latency = 4.0
    with pytest.raises(StartFailed):
        backend.start(order, Interrupt())
    assert clock.pauses == [2.0, pytest.approx(3.0)]


def test_a_dead_engine_refuses_calls_and_is_reported_once(backend, orders):
    seen = []
    backend.watch(0.0, seen.append)

    backend.engine.down("the socket is gone")
    backend.engine.down("still gone")
    with pytest.raises(BackendDown):
        backend.inventory()
    backend.engine.up()

    assert seen == [BackendAvailable(), BackendUnavailable("the socket is gone"), BackendAvailable()]


def test_on_start_plays_the_runner(clock, orders):
    seen = []
    backend = MemoryBackend(clock)
    backend.on_start = lambda resource: backend.end(resource.id, exit_code=None, signal=9, out_of_memory=True)
    backend.watch(0.0, seen.append)

    resource = backend.start(orders.make(), Interrupt())

    (end,) = [one for one in seen if isinstance(one, ResourceEnded)]
    assert end.resource_id == resource.id
    assert (end.ending.signal, end.ending.out_of_memory, end.ending.at) == (9, True, clock.wall())
    assert backend.inventory()[0].state is ResourceState.ENDED


def test_an_agent_that_fails_fails_the_start_and_leaves_nothing(clock, orders):
    def fail(resource):
        raise BackendError("no agent")

    backend = MemoryBackend(clock, on_start=fail)

    with pytest.raises(BackendError, match="no agent"):
        backend.start(orders.make(), Interrupt())

    assert backend.inventory() == []


def test_peaks_count_what_ran_at_once(backend, orders):
    first = backend.start(orders.make(), Interrupt())
    backend.start(orders.make(), Interrupt())
    backend.end(first.id)
    backend.start(orders.make(), Interrupt())

    assert backend.engine.peak == 2
    assert backend.engine.peaks[first.key] == 2
    assert backend.engine.starts == 3


def test_a_job_is_seen_where_the_test_put_it(backend, orders):
    resource = backend.start(orders.make(), Interrupt())
    assert backend.runs_a_job(resource, Interrupt()) is False

    backend.engine.jobs_running.add(resource.id)
    assert backend.runs_a_job(resource, Interrupt()) is True

    backend.end(resource.id)
    assert backend.runs_a_job(resource, Interrupt()) is False
