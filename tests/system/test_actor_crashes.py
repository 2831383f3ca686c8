"""An actor of a running system crashes: it is restarted and no job is disturbed. docs/behaviour.md § 8.1"""

from __future__ import annotations

import gc
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pykka
import pytest
from loguru import logger
from support.daemon import Daemon, wait_until

from runscaler.actors.base import SupervisedActor
from runscaler.autoscaler import Autoscaler
from runscaler.backends.registry import factory_for
from runscaler.config.load import load_config
from runscaler.events import ActorRestarted
from runscaler.testing.simulator import JobState, Match, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import BackendContext, Resource, RunnerOrder
    from runscaler.config.model import ScaleSetSettings
    from runscaler.events import Event
    from runscaler.github.base import JitConfig
    from runscaler.interrupt import Interrupt
    from runscaler.status import ScaleSetStatus

HERE, THERE = "here", "there"


@dataclass
class System:
    """An autoscaler with two scale sets in this process; on each of them a job waits for the latch."""

    github: SimulatedGitHub
    scaler: Autoscaler
    files: Daemon
    backends: list[Crashing]
    events: list[Event] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def of(self, name: str) -> ScaleSetStatus:
        return next(one for one in self.scaler.status().scale_sets if one.name == name)

    def crash(self, name: str) -> None:
        """Crash the actor of that name with an unknown message."""
        self.actor(name).tell(object())

    def actor(self, name: str) -> pykka.ActorRef[Any]:
        (found,) = [one for one in living_actors() if one.name == name]
        return found.actor_ref

    def wait_for_crash(self, name: str) -> None:
        def crashes() -> list[Event]:
            return [one for one in self.events if isinstance(one, ActorRestarted)]

        wait_until(crashes, f"the crash of {name}")
        assert [line for line in self.errors if "crashed" in line]

    def runs_job(self, name: str) -> bool:
        (job,) = self.github.queue_jobs(name)
        (done,) = self.github.wait_for_jobs([job])
        return done.result == "succeeded"


class Crashing:
    """The process backend, whose next start raises an error that no backend may raise, once, at `moment`."""

    def __init__(self, settings: ScaleSetSettings, context: BackendContext) -> None:
        self._backend = factory_for(settings.backend).create(settings, context)
        self.moment = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        moment, self.moment = self.moment, ""

        def jit() -> JitConfig:
            made = order.jit()
            self._crash(moment == "registered")
            return made

        resource = self._backend.start(replace(order, jit=jit), interrupt)
        self._crash(moment == "running")
        return resource

    def _crash(self, now: bool) -> None:
        if now:
            raise ZeroDivisionError("a bug in a backend")


@pytest.fixture
def system(github, daemon, scale_set) -> Iterator[System]:
    sets = [scale_set(name, backend="process", max_runners=3, min_runners=1) for name in (HERE, THERE)]
    files = daemon({"scaleset": sets, "drain-timeout": "5s"})
    backends: list[Crashing] = []

    def open_backend(settings: ScaleSetSettings, context: BackendContext) -> Crashing:
        backends.append(Crashing(settings, context))
        return backends[-1]

    scaler = Autoscaler(load_config(files.path), open_backend=open_backend)
    made = System(github, scaler, files, backends)
    made.scaler.subscribe(made.events.append)
    logger.remove()
    logger.enable("runscaler")
    sink = logger.add(lambda line: made.errors.append(str(line)), level="ERROR", format="{message}")
    made.scaler.start()
    assert made.scaler.wait_ready(30)
    yield made
    made.scaler.stop()
    logger.remove(sink)
    logger.disable("runscaler")


@pytest.fixture
def at_work(system: System, latch) -> dict[str, Any]:
    """Each scale set has a running job and an idle runner; returns the jobs by scale set."""
    ids = {name: system.github.queue_jobs(name, steps=[latch.step])[0] for name in (HERE, THERE)}
    system.github.wait_for_jobs(ids.values(), JobState.RUNNING)
    wait_until(lambda: counts(system) == [(1, 1), (1, 1)], "one busy and one idle runner of each set")
    return ids


def counts(system: System) -> list[tuple[int, int]]:
    return [(one.busy, one.idle) for one in system.scaler.status().scale_sets]


def slot_in(system: System, state: str) -> int:
    return next(slot.slot for slot in system.of(HERE).slots if slot.state == state)


def actor_name(system: System, kind: str) -> str:
    """The name of an actor; "runner busy" stands for the actor of the busy slot."""
    if kind.startswith("runner"):
        return f"runner {slot_in(system, kind.split()[1])} {HERE}"
    of_a_set = {"scale set": f"scale-set {HERE}", "listener": f"listener {HERE}"}
    if kind in of_a_set:
        return of_a_set[kind]
    return next(one.name for one in living_actors() if one.name.split()[0] == kind)


def living_actors() -> list[SupervisedActor[Any]]:
    """Names of the actors that have a thread.

    Pykka lists references, which do not know the actor's name, and takes actors of other tests that were
    never started for alive.
    """
    listed = {ref.actor_urn for ref in pykka.ActorRegistry.get_all()}
    actors = [one for one in gc.get_objects() if isinstance(one, SupervisedActor)]
    return [one for one in actors if one.actor_urn in listed]


def total_restarts(system: System) -> int:
    status = system.scaler.status()
    return sum(status.restarts.values()) + sum(one.restarts for one in status.scale_sets)


KINDS = ("scale set", "listener", "runner idle", "runner busy", "keeper", "host", "health")


@pytest.mark.parametrize("kind", KINDS)
def test_a_crashed_actor_is_restarted_and_no_job_is_disturbed(system, at_work, latch, kind):
    github = system.github
    before = {job.id: job.runner for job in github.state().jobs}
    held = system.files.resources()
    name = actor_name(system, kind)

    system.crash(name)
    system.wait_for_crash(name)
    wait_until(lambda: total_restarts(system) == 1, "the restart in status")

    assert system.files.resources() == held, "a runner was killed or doubled"
    assert {job.id: (job.runner, job.state) for job in github.state().jobs} == {
        job: (runner, JobState.RUNNING) for job, runner in before.items()
    }
    assert system.runs_job(HERE)
    assert system.runs_job(THERE)
    latch.release()
    jobs = github.wait_for_jobs(at_work.values())
    wait_until(lambda: system.of(HERE).state == "ok", "the set is well")
    system.scaler.stop()

    assert {job.id: (job.runner, job.result, job.attempts) for job in jobs} == {
        job: (runner, "succeeded", 1) for job, runner in before.items()
    }
    assert len(system.errors) == 1
    assert system.files.leftovers() == []
    assert github.final_violations() == ()
    assert all(one.deleted for one in github.state().scale_sets)


def test_a_runner_s_actor_that_crashes_after_a_slow_start_keeps_the_runner(system, at_work, latch):
    github = system.github
    delay = github.inject("delay", count=None, seconds=1.0, match=Match(path="/generatejitconfig"))
    (job,) = github.queue_jobs(HERE)
    wait_until(lambda: system.of(HERE).starting, "a start")
    name = actor_name(system, "runner starting")

    system.crash(name)
    system.wait_for_crash(name)
    github.remove_fault(delay)
    latch.release()
    jobs = github.wait_for_jobs([job, *at_work.values()])
    system.scaler.stop()

    assert [(one.result, one.attempts) for one in jobs] == [("succeeded", 1)] * 3
    assert system.files.leftovers() == []
    assert github.final_violations() == ()


@pytest.mark.parametrize("moment", ["registered", "running"])
def test_a_runner_s_actor_that_crashes_in_a_start_leaves_nothing_and_the_job_runs(
    system, at_work, latch, moment
):
    github = system.github
    (backend,) = system.backends
    backend.moment = moment

    (job,) = github.queue_jobs(HERE)
    wait_until(lambda: not backend.moment, "the start that crashes")
    system.wait_for_crash("the runner's actor")
    (done,) = github.wait_for_jobs([job])
    latch.release()
    github.wait_for_jobs(at_work.values())
    system.scaler.stop()

    assert (done.result, done.attempts) == ("succeeded", 1)
    assert "ZeroDivisionError: a bug in a backend while handling StartRunner" in system.errors[0]
    assert system.files.leftovers() == []
    assert github.final_violations() == ()
    assert not github.state().runners_in("registered", "idle", "busy", "offline")
