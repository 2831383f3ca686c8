"""How a daemon with Tart VMs ends, what the next one adopts, and two daemons on one Mac (T34)."""

from __future__ import annotations

import tomllib

import pytest
from support.daemon import all_ok, of, wait_until
from support.mac_watch import MacWatch, most_at_once

from runscaler.testing.simulator import JobState, RunnerState


@pytest.fixture
def busy_idle_and_warm(github, mac, mac_daemon, scale_set, latch):
    """`busy_idle_and_warm(**top)`: a daemon with a busy, an idle and a warm VM; the host may run three."""

    def make(step=latch.step, **top):
        mac.tart.state(limit=3)
        tart = mac.keys(max_vms=3, pool_size=1)
        program = mac_daemon(scale_set("macs", tart, max_runners=2, min_runners=1), **top)
        program.start()
        (job,) = github.queue_jobs("macs", steps=[step])
        github.wait_for_jobs([job], JobState.RUNNING)
        program.wait_for(lambda health: (of(health, "macs")["busy"], of(health, "macs")["idle"]) == (1, 1))
        wait_until(lambda: mac.in_phase("pooled"), "a warm VM")
        return program, job

    return make


def vm_of(mac, runner):
    return next(vm for vm in mac.pids() if mac.record(vm).get("runner_name") == runner)


def test_a_stop_removes_warm_and_idle_vms_at_once_and_lets_the_busy_one_finish(
    github, mac, busy_idle_and_warm, latch
):
    program, job = busy_idle_and_warm(drain_timeout="60s")
    (running,) = github.state().jobs
    busy = vm_of(mac, running.runner)
    assert len(mac.pids()) == 3

    program.signal()
    wait_until(lambda: [*mac.pids()] == [busy], "the end of the others")
    state = github.wait_until(lambda state: not state.runners_in(RunnerState.IDLE))
    latch.release()
    code = program.ended()

    (done,) = github.wait_for_jobs([job])
    assert [one.state for one in state.jobs] == [JobState.RUNNING]
    assert (code, done.result, done.attempts, done.runner) == (0, "succeeded", 1, running.runner)
    mac.assert_nothing_is_left(program, github)


@pytest.mark.parametrize("drain_timeout", [0, "2s"])
def test_a_busy_vm_is_removed_when_its_runner_has_cancelled_its_job(
    github, mac, busy_idle_and_warm, drain_timeout
):
    program, job = busy_idle_and_warm("sleep 600", drain_timeout=drain_timeout)

    code = program.stop()

    (done,) = github.wait_for_jobs([job])
    assert (code, done.result, done.attempts) == (0, "canceled", 1)
    assert "is removed while it runs build" in program.log
    mac.assert_nothing_is_left(program, github)


def test_the_next_start_adopts_and_uses_what_an_exit_kept(github, mac, busy_idle_and_warm, latch):
    program, job = busy_idle_and_warm(on_exit="keep")
    (running,) = github.state().jobs
    before, warm = mac.pids(), mac.in_phase("pooled")

    assert program.stop() == 0
    assert (mac.pids(), len(mac.taken_slots())) == (before, 3)

    github.client_restarted()
    program.start()
    program.wait_for(lambda health: all_ok(health) and of(health, "macs")["total"] == 2)
    wait_until(lambda: "took over the warm VM" in program.log, "the warm VM in the log")
    assert mac.pids() == before
    latch.release()
    more = github.queue_jobs("macs", 3)
    first, *others = github.wait_for_jobs([job, *more])

    assert (first.result, first.attempts, first.runner) == ("succeeded", 1, running.runner)
    assert {one.result for one in others} == {"succeeded"}
    assert set(warm) < {one.vm for one in mac.injected()}, "nobody used the warm VM"
    assert program.stop() == 0
    github.client_restarted()
    program.configure({**tomllib.loads(program.path.read_text()), "on-exit": "remove"})
    program.start()
    program.wait_for(all_ok)
    assert program.stop() == 0
    mac.assert_nothing_is_left(program, github)


@pytest.mark.timeout(300)
def test_two_daemons_share_the_slots_of_their_mac(github, mac, mac_daemon, scale_set):
    """T34: each has its own state directory and TART_HOME. The kernel would allow more VMs."""
    mac.tart.state(limit=9)
    theirs = mac.folder / "other-home"
    mac.add_image(home=theirs)
    one = mac_daemon(scale_set("one", mac.keys(max_vms=2, pool_size=1), max_runners=2), name="one")
    two = mac_daemon(
        scale_set(
            "two",
            mac.keys(max_vms=2, pool_size=1, home=str(theirs)),
            max_runners=2,
            url=github.config_url("their-org"),
        ),
        name="two",
    )
    with MacWatch(mac.tart) as watch:
        one.start()
        two.start()
        one.wait_for(all_ok)
        two.wait_for(all_ok)
        ids = [id_ for name in ("one", "two") for id_ in github.queue_jobs(name, 8, steps=["sleep 0.1"])]
        jobs = github.wait_for_jobs(ids, timeout=200)
        assert (one.stop(), two.stop()) == (0, 0)

    assert [(job.scale_set, job.result) for job in jobs] == [(job.scale_set, "succeeded") for job in jobs]
    assert [sum(job.scale_set == name for job in jobs) for name in ("one", "two")] == [8, 8]
    assert (watch.most, watch.doubled, most_at_once(mac.tart)) == (2, set(), 2)
    assert "instead of 02:" not in one.log + two.log
    assert list((theirs / "vms").glob("*")) == []
    mac.assert_nothing_is_left(one, github)
    mac.assert_nothing_is_left(two, github)
