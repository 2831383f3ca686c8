"""A scale set that is renamed in the configuration while its runners live (docs/behaviour.md § 6.5)."""

from __future__ import annotations

import signal

import pytest
from support.daemon import all_ok, of

from runscaler.testing.simulator import JobState


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_its_idle_runners_go_its_job_ends_and_it_is_deleted(github, daemon, scale_set, backend, latch, end):
    keys = {**scale_set("linux", backend, max_runners=3, min_runners=2), "on-exit": "keep"}
    program = daemon(keys)
    program.start()
    (job,) = github.queue_jobs("linux", steps=[latch.step])
    github.wait_for_jobs([job], JobState.RUNNING)
    program.wait_for(lambda health: (of(health, "linux")["busy"], of(health, "linux")["idle"]) == (1, 2))
    program.signal(end)
    program.ended()
    github.client_restarted()

    program.configure({**keys, "name": "other", "min-runners": 0})
    program.start()
    health = program.wait_for(
        lambda health: (
            all_ok({"scale_sets": health["scale_sets"][:1]})
            and len(health["scale_sets"]) == 2
            and of(health, "linux")["total"] == 1
        )
    )
    latch.release()
    (done,) = github.wait_for_jobs([job])
    program.wait_for(lambda health: [one["name"] for one in health["scale_sets"]] == ["other"])
    deleted = {one.name: one.deleted for one in github.state().scale_sets}
    code = program.stop()

    assert of(health, "linux")["state"] == "draining"
    assert (done.result, done.attempts) == ("succeeded", 1)
    assert deleted == {"linux": True, "other": False}
    assert (code, program.errors) == (0, "")
    assert "is not configured any more, but has 3 runners here" in program.log
    assert github.final_violations() == ()
