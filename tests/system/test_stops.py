"""How the daemon ends: after a stop, after a second signal and after the drain timeout."""

from __future__ import annotations

import signal

import pytest
from support.daemon import all_ok, of, wait_until
from support.watched_daemon import AT_GITHUB

from runscaler.testing.simulator import JobState, RunnerState


@pytest.fixture
def busy_and_idle(github, daemon, scale_set, backend, latch):
    """`busy_and_idle(drain_timeout)`: a daemon with two idle runners and a third one that runs a job."""

    def make(drain_timeout, step=latch.step):
        keys = scale_set("linux", backend, max_runners=3, min_runners=2)
        program = daemon({**keys, "drain-timeout": drain_timeout})
        program.start()
        (job,) = github.queue_jobs("linux", steps=[step])
        github.wait_for_jobs([job], JobState.RUNNING)
        program.wait_for(lambda health: (of(health, "linux")["busy"], of(health, "linux")["idle"]) == (1, 2))
        return program, job

    return make


def test_a_stop_removes_idle_runners_at_once_and_lets_the_busy_one_finish(github, busy_and_idle, latch):
    program, job = busy_and_idle("60s")

    program.signal()
    state = github.wait_until(lambda state: not state.runners_in(RunnerState.IDLE))
    program.wait_for(lambda health: of(health, "linux")["total"] == 1)
    left = program.resources()
    latch.release()
    code = program.ended()

    (done,) = github.wait_for_jobs([job])
    assert [one.state for one in state.jobs] == [JobState.RUNNING]
    assert left == [done.runner]
    assert (done.result, done.attempts) == ("succeeded", 1)
    assert (code, program.errors, program.leftovers()) == (0, "", [])
    assert github.final_violations() == ()
    assert all(one.deleted for one in github.state().scale_sets)


@pytest.mark.parametrize("drain_timeout", [0, "2s"])
def test_a_busy_runner_cancels_its_job_when_the_drain_timeout_is_over(github, busy_and_idle, drain_timeout):
    program, job = busy_and_idle(drain_timeout, "sleep 600")

    code = program.stop()

    (done,) = github.wait_for_jobs([job])
    assert (done.result, done.attempts) == ("canceled", 1)
    assert (code, program.errors, program.leftovers()) == (0, "", [])
    assert "is removed while it runs build" in program.log
    assert not any(session.state == "live" for session in github.state().sessions)
    assert not github.state().runners_in(*AT_GITHUB)
    assert github.final_violations() == ()
    assert all(one.deleted for one in github.state().scale_sets)


def test_a_job_that_outlives_the_job_timeout_is_cancelled(github, daemon, scale_set, backend):
    program = daemon(scale_set("linux", backend, max_runners=1, job_timeout="1s"))
    program.start()

    (done,) = github.wait_for_jobs(github.queue_jobs("linux", steps=["sleep 600"]))

    assert (done.result, done.attempts) == ("canceled", 1)
    program.wait_for(lambda health: of(health, "linux")["total"] == 0)
    assert (program.stop(), program.errors, program.leftovers()) == (0, "", [])
    assert github.final_violations() == ()
    assert all(one.deleted for one in github.state().scale_sets)


def test_after_a_second_signal_it_leaves_at_once_and_the_next_start_adopts(github, busy_and_idle, latch):
    program, job = busy_and_idle("60s")
    (before,) = github.state().jobs

    program.signal()
    program.wait_for_log("SIGTERM")
    wait_until(lambda: program.signal() or program.process.poll(), "its end, although signalled again")
    code = program.ended()

    assert code == 143
    assert program.errors == "second signal: exiting at once; the next start adopts running runners\n"
    assert before.runner in program.resources()

    github.client_restarted()
    program.start()
    program.wait_for(lambda health: all_ok(health) and of(health, "linux")["total"] == 3)
    assert before.runner in program.resources()
    latch.release()
    (done,) = github.wait_for_jobs([job])
    code = program.stop()

    assert (done.result, done.runner, done.attempts) == ("succeeded", before.runner, 1)
    assert (code, program.errors, program.leftovers()) == (0, "", [])
    assert github.final_violations() == ()
    assert all(one.deleted for one in github.state().scale_sets)


def test_a_killed_daemon_s_job_goes_on_under_the_next_one(github, busy_and_idle, latch):
    program, job = busy_and_idle("60s")
    held = program.resources()

    program.signal(signal.SIGKILL)
    assert program.ended() == -signal.SIGKILL
    github.client_restarted()
    program.start()
    health = program.wait_for(lambda health: all_ok(health) and of(health, "linux")["total"] == len(held))
    adopted = program.resources()
    latch.release()
    (done,) = github.wait_for_jobs([job])
    code = program.stop()

    assert of(health, "linux")["max"] == len(held) == 3
    assert adopted == held
    assert (done.result, done.attempts) == ("succeeded", 1)
    assert (code, program.errors, program.leftovers()) == (0, "", [])
    assert github.final_violations() == ()
