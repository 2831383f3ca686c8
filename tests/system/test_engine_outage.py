"""The engine stops, starts again or hangs: real jobs on a private engine. docs/behaviour.md § 8.5"""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from support.daemon import CLOCK, wait_until
from support.watched_daemon import assert_github_is_clear

from runscaler.interrupt import Interrupt
from runscaler.testing.simulator import FAST, SimulatedGitHub

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
LIVE_RESTORE = "--live-restore"
AWAY_SECONDS = 20.0
"""How long the engine is down: long enough for every call to fail several times."""
DOWN = "start the engine: `sudo systemctl start docker`"
IMPATIENT = """
from runscaler.actors.scale_set import shutdown
from runscaler.cli import main
shutdown.FORCE_SECONDS = 10.0
main()
"""
"""The program with a shorter wait for an engine that is to remove what is left by force."""

TIMERS = replace(FAST, session=60.0, agent_silence=60.0, registration=600.0, lease=10.0, pick_up=60.0)
"""GitHub soon gives up a runner that died during its job; all other timeouts are long."""


@pytest.fixture
def github():
    with SimulatedGitHub(timers=TIMERS) as simulated:
        yield simulated


def results(jobs):
    return [one.result for one in jobs]


def test_after_the_engine_was_down_for_twenty_seconds_all_jobs_that_can_run_do(
    github, private_engine, watched_daemon, latch
):
    private_engine.start()
    one = watched_daemon(max_runners=4, min_runners=1)
    one.start()
    at_work = one.queue_running(2, latch.step)
    passing = one.queue(6)
    github.wait_until(lambda state: state.completed >= 2)

    private_engine.stop()
    died = set(one.watch.runners)
    one.wait_for("degraded", DOWN)
    later = one.queue(3)
    CLOCK.pause(AWAY_SECONDS, Interrupt())
    private_engine.start()
    one.wait_for("ok")
    jobs = github.wait_for_jobs([*passing, *later])
    one.wait_until_clear(kept=1)

    assert not {job.runner for job in jobs if job.result != "succeeded"} - died
    assert results(github.wait_for_jobs(later)) == ["succeeded"] * 3
    assert "succeeded" not in results(github.wait_for_jobs(at_work))
    assert {job.attempts for job in jobs} == {1}
    degraded = [line for line in one.warned("scale set is degraded") if "cannot be removed" not in line]
    assert len(degraded) == 1
    assert len(one.warned()) <= 2 + 2 * len(died)
    # What ended with the engine and is still to be removed holds no slot.
    assert one.watch.most_living["linux"] <= 4
    one.end(most=8)
    assert_github_is_clear(github)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_jobs_go_on_while_an_engine_with_live_restore_is_down_and_their_runners_are_found_again(
    github, private_engine, watched_daemon, latch, how
):
    private_engine.start(LIVE_RESTORE)
    one = watched_daemon(max_runners=4, min_runners=1)
    one.start()
    at_work = one.queue_running(2, latch.step)
    one.wait_for("ok", busy=2, idle=1)
    before = one.containers()

    getattr(private_engine, how)()
    one.wait_for("degraded", total=3)
    later = one.queue(3)
    private_engine.start(LIVE_RESTORE)
    one.wait_for("ok")
    after = one.containers()
    latch.release()
    jobs = github.wait_for_jobs([*at_work, *later])
    one.wait_until_clear(kept=1)

    assert results(jobs) == ["succeeded"] * 5
    assert {job.attempts for job in jobs} == {1}
    assert {job.runner for job in github.wait_for_jobs(at_work)} <= before.keys() & after.keys()
    degraded = [line for line in one.warned("scale set is degraded") if "cannot be removed" not in line]
    assert len(degraded) == 1
    one.end()
    assert_github_is_clear(github)


CALL_THE_ENGINE = (
    "python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')\""
)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_idle_runners_whose_mount_of_the_engine_s_socket_died_with_it_are_replaced(
    github, private_engine, watched_daemon, latch, how
):
    private_engine.start(LIVE_RESTORE)
    socket = private_engine.url.removeprefix("unix://")
    one = watched_daemon(max_runners=3, min_runners=1, docker={"dind": True, "dind-socket": socket})
    one.start()
    at_work = one.queue_running(1, latch.step)
    one.wait_for("ok", busy=1, idle=1)
    (busy,) = (job.runner for job in github.state().jobs)
    (idle,) = one.containers().keys() - {busy}

    getattr(private_engine, how)()
    one.wait_for("degraded")
    private_engine.start(LIVE_RESTORE)
    wait_until(lambda: idle not in one.containers(), lambda: f"the end of {idle}: {one.program.log}")
    one.wait_for("ok", busy=1, idle=1)
    done = github.wait_for_jobs(one.queue(2, CALL_THE_ENGINE))
    latch.release()

    assert results(done) == ["succeeded", "succeeded"]
    assert idle not in {job.runner for job in done}
    assert [(job.result, job.runner) for job in github.wait_for_jobs(at_work)] == [("succeeded", busy)]
    assert one.program.log.count("replacing idle runners (1)") == 1
    one.wait_until_clear(kept=1)
    one.end()
    assert_github_is_clear(github)


def test_a_killed_engine_ends_its_runners_when_it_restarts_and_the_other_jobs_run(
    github, private_engine, watched_daemon, latch
):
    private_engine.start()
    one = watched_daemon(max_runners=4)
    one.start()
    at_work = one.queue_running(2, latch.step)
    one.wait_for("ok", busy=2)

    private_engine.kill()
    one.wait_for("degraded", total=2)
    later = one.queue(5)
    private_engine.start()
    one.wait_for("ok")
    jobs = github.wait_for_jobs([*at_work, *later])
    one.wait_until_clear()

    assert "succeeded" not in results(jobs[:2])
    assert results(jobs[2:]) == ["succeeded"] * 5
    assert {job.attempts for job in jobs} == {1}
    degraded = [line for line in one.warned("scale set is degraded") if "cannot be removed" not in line]
    assert len(degraded) == 1
    one.end()
    assert_github_is_clear(github)


def test_while_an_engine_hangs_no_runner_is_touched_and_a_stop_ends_in_its_time(
    github, private_engine, watched_daemon, latch
):
    private_engine.start()
    stays = watched_daemon(max_runners=3)
    leaves = watched_daemon(max_runners=3, min_runners=1, scope="other-org", drain_timeout="0s")
    leaves.program.runner = (sys.executable, "-c", IMPATIENT)
    for one in (stays, leaves):
        one.start()
    at_work, lost = (one.queue_running(1, latch.step) for one in (stays, leaves))
    stays.wait_for("ok", busy=1)
    leaves.wait_for("ok", busy=1, idle=1)
    before, left = stays.containers(), leaves.containers()

    private_engine.freeze()
    leaves.program.signal()
    stays.wait_for("degraded", "does not answer in time (look at its log: `journalctl -u docker`)")
    later = stays.queue()

    def has_left() -> bool:
        assert stays.program.health()
        return not leaves.program.health() and leaves.program.ended() == 0

    wait_until(has_left, "an end beside an engine that hangs", seconds=120)
    private_engine.thaw()
    stays.wait_for("ok")
    after = stays.containers()
    latch.release()
    jobs = github.wait_for_jobs([*at_work, *later])

    assert after.items() >= before.items()
    assert results(jobs) == ["succeeded", "succeeded"]
    assert len(stays.warned()) == len(stays.warned("scale set is degraded")) == 1
    assert (leaves.program.ended(), leaves.program.errors) == (0, "")
    leaves.assert_log_is_clean()
    (warning,) = leaves.warned("stopping took too long (drain)")
    assert all(runner in warning for runner in left)

    github.client_restarted()
    leaves.start()
    github.wait_for_jobs(lost)
    for one in (leaves, stays):
        one.end()
    assert_github_is_clear(github)
