"""Runners with an engine of their own, through the whole program (docs/behaviour.md § 7.1)."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.daemon import of, wait_until
from support.engine import connect, engine_address
from support.kill_loop import JobOutputs, KillLoop, Plan, assert_all_ran_once
from support.sidecar import IMPORT_TINY, SidecarEngine, demo_image_with_docker, sidecar_image

from runscaler.backends.docker.local import bridge_gateway
from runscaler.testing.simulator import FAST, JobState, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.daemon import Daemon, Latch

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

TIMERS = replace(FAST, session=60.0, agent_silence=60.0, registration=600.0, lease=60.0, pick_up=60.0)
KILLS = Plan(seed=3, jobs=12, kills=6, longest_job=0.5, longest_run=4.0)
RUNS_ITS_OWN = (
    IMPORT_TINY,
    "docker run --detach --name of-the-job tiny sleep 600",
    'test "$(docker ps --all --format {{.Names}})" = of-the-job',
)


@pytest.fixture(scope="module")
def engine() -> Iterator[SidecarEngine]:
    made = SidecarEngine()
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def engine_url(engine: SidecarEngine) -> str:
    return engine.url


@pytest.fixture
def github(engine: SidecarEngine) -> Iterator[SimulatedGitHub]:
    """Where the engine's containers can reach it without this host's network."""
    gateway = bridge_gateway(engine_address(engine.url))
    assert gateway
    with SimulatedGitHub(timers=TIMERS, host=gateway) as simulated:
        yield simulated


@pytest.fixture
def with_sidecars(engine: SidecarEngine, scale_set, daemon) -> Callable[..., Daemon]:
    """`with_sidecars(volume, max_runners=2)`: a daemon whose runners have sidecars and mount the volume."""

    def make(volume: str, **keys: Any) -> Daemon:
        table = {
            "host": engine.url,
            "dind": "sidecar",
            "sidecar-image": sidecar_image(engine.url),
            "pull": "never",
            "volumes": [volume],
        }
        runner = {"backend": "docker", "runner-image": demo_image_with_docker(engine.url), "docker": table}
        made: Daemon = daemon(scale_set("linux", runner, **keys))
        return made

    return make


def containers(engine: SidecarEngine) -> list[str]:
    """The names of all on the engine."""
    with connect(engine.url) as api:
        return sorted(name.lstrip("/") for one in api.containers(all=True) for name in one["Names"])


def volumes(engine: SidecarEngine) -> list[str]:
    with connect(engine.url) as api:
        return [one["Name"] for one in api.volumes()["Volumes"] or ()]


def assert_nothing_is_left(engine: SidecarEngine) -> None:
    assert (containers(engine), volumes(engine)) == ([], [])


def test_a_job_sees_only_its_own_engine_which_goes_with_its_runner(
    engine, github, with_sidecars, latch: Latch
):
    program = with_sidecars(latch.volume, max_runners=2)
    program.start()
    jobs = github.queue_jobs("linux", 2, steps=[*RUNS_ITS_OWN, latch.step])
    running = github.wait_for_jobs(jobs, JobState.RUNNING)
    names = sorted(f"{job.runner}{end}" for job in running for end in ("", "-engine"))
    assert containers(engine) == names

    latch.release()

    assert [job.result for job in github.wait_for_jobs(jobs)] == ["succeeded", "succeeded"]
    program.wait_for(lambda health: of(health, "linux")["total"] == 0)
    assert_nothing_is_left(engine)
    assert (program.stop(), program.errors) == (0, "")


def test_a_runner_keeps_its_engine_though_the_daemon_is_killed(engine, github, with_sidecars, latch: Latch):
    program = with_sidecars(latch.volume, max_runners=1)
    program.start()
    jobs = github.queue_jobs("linux", steps=[*RUNS_ITS_OWN, latch.step, "docker stop --time 0 of-the-job"])
    github.wait_for_jobs(jobs, JobState.RUNNING)

    kill(program, github)
    program.start()
    program.wait_for(lambda health: of(health, "linux")["total"] == 1)
    latch.release()

    (job,) = github.wait_for_jobs(jobs)
    assert job.result == "succeeded"
    program.wait_for(lambda health: of(health, "linux")["total"] == 0)
    assert_nothing_is_left(engine)
    assert (program.stop(), program.errors) == (0, "")


def test_the_engine_of_a_runner_that_died_with_the_daemon_goes_with_its_container(
    engine, github, with_sidecars, latch: Latch
):
    program = with_sidecars(latch.volume, max_runners=1, min_runners=1)
    program.start()
    program.wait_for(lambda health: of(health, "linux")["idle"] == 1)
    (runner,) = (name for name in containers(engine) if not name.endswith("-engine"))

    kill(program, github)
    with connect(engine.url) as api:
        api.kill(runner)
    program.start()

    wait_until(lambda: runner not in containers(engine), "the runner is removed")
    assert f"{runner}-engine" not in containers(engine)
    program.wait_for(lambda health: of(health, "linux")["idle"] == 1)
    assert (program.stop(), program.errors) == (0, "")
    assert_nothing_is_left(engine)


def test_an_idle_runner_whose_engine_died_is_replaced(engine, github, with_sidecars, latch: Latch):
    program = with_sidecars(latch.volume, max_runners=1, min_runners=1)
    program.start()
    program.wait_for(lambda health: of(health, "linux")["idle"] == 1)
    before = {*containers(engine)}

    with connect(engine.url) as api:
        api.kill(next(name for name in before if name.endswith("-engine")))

    program.wait_for_log("the engine of the runner's own has ended")
    wait_until(
        lambda: len(containers(engine)) == 2 and not {*before} & {*containers(engine)}, "another runner"
    )
    program.wait_for(lambda health: of(health, "linux")["idle"] == 1)
    assert (program.stop(), program.errors) == (0, "")
    assert_nothing_is_left(engine)


def test_nothing_is_left_however_often_the_daemon_is_killed(engine, github, with_sidecars):
    """Also in the middle of a start or a removal, which take seconds with a sidecar."""
    outputs = JobOutputs(KILLS.jobs)
    program = with_sidecars(outputs.volume, max_runners=3, min_runners=1)
    killing = KillLoop(KILLS, program, github, outputs)

    jobs = killing.run(["linux"], patience=200.0)

    assert (program.stop(), program.errors) == (0, "")
    assert_all_ran_once(jobs, killing, outputs)
    assert_nothing_is_left(engine)
    shutil.rmtree(outputs.folder)


def kill(program: Daemon, github: SimulatedGitHub) -> None:
    program.signal(signal.SIGKILL)
    assert program.ended() == -signal.SIGKILL
    github.client_restarted()
