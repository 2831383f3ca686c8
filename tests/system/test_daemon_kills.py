"""`kill -9` at random moments, repeatedly: every job runs once, nothing is left. docs/behaviour.md § 8.2"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.engine_watch import EngineWatch
from support.kill_loop import JobOutputs, KillLoop, Plan, assert_all_ran_once, assert_nothing_is_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROCESSES = Plan(seed=11, jobs=40, kills=5, longest_job=0.5, longest_run=2.0)
CONTAINERS = Plan(seed=7, jobs=100, kills=20, longest_job=1.5, longest_run=2.5)
MAX_PROCESSES = 6
MAX_CONTAINERS = {"small": 3, "large": 5}


@pytest.fixture
def outputs() -> Iterator[Callable[[int], JobOutputs]]:
    made: list[JobOutputs] = []

    def make(count: int) -> JobOutputs:
        made.append(JobOutputs(count))
        return made[-1]

    yield make
    for one in made:
        shutil.rmtree(one.folder)


def test_forty_jobs_run_once_each_though_the_daemon_is_killed_five_times(github, daemon, scale_set, outputs):
    written = outputs(PROCESSES.jobs)
    program = daemon(scale_set("linux", backend="process", max_runners=MAX_PROCESSES, min_runners=1))
    killing = KillLoop(PROCESSES, program, github, written)

    jobs = killing.run(["linux"], patience=60.0)

    assert program.stop() == 0
    assert_all_ran_once(jobs, killing, written)
    assert_nothing_is_left(program, github)


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_a_hundred_jobs_run_once_each_in_containers_though_the_daemon_is_killed_twenty_times(
    github, docker, daemon, scale_set, engine_url, outputs
):
    written = outputs(CONTAINERS.jobs)
    keys = {**docker, "docker": {**docker["docker"], "volumes": [written.volume]}, "min-runners": 1}
    sets = [scale_set(name, keys, max_runners=most) for name, most in MAX_CONTAINERS.items()]
    program = daemon({"scaleset": sets})
    killing = KillLoop(CONTAINERS, program, github, written)

    with EngineWatch(engine_url, program.state_dir) as watch:
        jobs = killing.run(list(MAX_CONTAINERS), patience=200.0)
        code = program.stop()
        watch.settle()

    assert code == 0
    assert_all_ran_once(jobs, killing, written)
    assert len(set(watch.runners)) == len(watch.runners) >= len(jobs), "a runner was started twice"
    assert [name for name, most in MAX_CONTAINERS.items() if not 1 < watch.most[name] <= most] == []
    assert_nothing_is_left(program, github)
