"""Many jobs at once while GitHub answers slowly: runners start in parallel."""

from __future__ import annotations

import pytest
from support.daemon import all_ok
from support.engine_watch import EngineWatch

JOBS = 50
JIT_CALLS = 8


@pytest.mark.engine
@pytest.mark.timeout(240)
def test_fifty_runners_run_at_once_though_each_answer_of_github_takes_200_ms(
    github, docker, daemon, scale_set, engine_url, latch
):
    table = {**docker["docker"], "volumes": [latch.volume]}
    program = daemon(scale_set("linux", docker, docker=table, max_runners=JOBS))
    github.inject("delay", count=None, seconds=0.2)

    with EngineWatch(engine_url, program.state_dir) as watch:
        program.start()
        program.wait_for(all_ok)
        ids = github.queue_jobs("linux", JOBS, steps=[latch.step])
        github.wait_until(lambda state: len(state.jobs_in("running")) == JOBS, timeout=120)
        latch.release()
        jobs = github.wait_for_jobs(ids, timeout=120)
        code = program.stop()
        watch.settle()

    assert {job.result for job in jobs} == {"succeeded"}
    assert 1 < github.most_jit_calls <= JIT_CALLS
    assert watch.most["linux"] == len(watch.runners) == JOBS
    assert (code, program.errors, program.leftovers()) == (0, "", [])
    assert github.final_violations() == ()
