"""Two hundred jobs on a real engine, for two scale sets with different settings in one daemon."""

from __future__ import annotations

from functools import partial

import pytest
from support.daemon import all_ok
from support.engine_watch import EngineWatch

BURSTS = 4
BURST = 25
SMALL, LARGE = 4, 6
MEMORY = 128
LIMIT = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
HAS_LIMIT = f'test "$({LIMIT})" = {MEMORY * 1024 * 1024}'


def many_done(count, state):
    return state.completed >= count


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_two_hundred_jobs_run_each_in_a_container_of_its_own_and_never_more_than_max(
    github, docker, daemon, scale_set, engine_url
):
    red = {**docker, "docker": {**docker["docker"], "env": {"TEAM": "red"}, "memory": MEMORY}}
    blue = {**docker, "docker": {**docker["docker"], "env": {"TEAM": "blue"}}}
    small = scale_set("small", red, max_runners=SMALL, min_runners=1, labels=["linux", "small"])
    large = scale_set("large", blue, max_runners=LARGE, idle_timeout="2s")
    program = daemon({"scaleset": [small, large]})
    ids: list[str] = []

    with EngineWatch(engine_url, program.state_dir) as watch:
        program.start()
        program.wait_for(all_ok)
        for _ in range(BURSTS):
            ids += github.queue_jobs(count=BURST, labels=("linux",), steps=['test "$TEAM" = red', HAS_LIMIT])
            ids += github.queue_jobs("large", BURST, steps=['test "$TEAM" = blue', "sleep 0.1"])
            github.wait_until(partial(many_done, len(ids) - BURST))
        jobs = github.wait_for_jobs(ids, timeout=200)
        code = program.stop()
        watch.settle()

    assert [job.result for job in jobs] == ["succeeded"] * len(ids)
    assert [job.scale_set for job in jobs] == [*["small"] * BURST, *["large"] * BURST] * BURSTS
    assert len({job.runner for job in jobs}) == len(jobs), "a runner ran two jobs"
    assert len(set(watch.runners)) == len(watch.runners) >= len(jobs), "a runner was started twice"
    assert 1 < watch.most["small"] <= SMALL
    assert 1 < watch.most["large"] <= LARGE
    assert (code, program.errors, program.leftovers()) == (0, "", [])
    assert github.final_violations() == ()
    assert all(one.deleted for one in github.state().scale_sets)
