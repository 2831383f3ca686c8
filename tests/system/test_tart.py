"""Runners in Tart VMs, the whole program on a fake Mac: scale sets and foreign VMs share its few VM slots."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest
from support.daemon import all_ok, of
from support.mac_watch import MacWatch, most_at_once

FOREIGN = "sequoia-test"
JOBS = 6
MAX_RUNNERS = 3


@pytest.fixture
def two_sets(mac, scale_set):
    """With different images, so that no warm VM fits both."""

    def make(**tart):
        sonoma = mac.add_image("ghcr.io/acme/sonoma:latest")
        first = scale_set("sequoia", mac.keys(max_vms=2, **tart), max_runners=MAX_RUNNERS)
        return first, scale_set("sonoma", mac.keys(sonoma, max_vms=2, **tart), max_runners=MAX_RUNNERS)

    return make


def queue(github):
    return github.queue_jobs("sequoia", JOBS, steps=["sleep 0.1"]) + github.queue_jobs(
        "sonoma", JOBS, steps=["sleep 0.1"]
    )


def assert_both_took_turns(jobs):
    """The scale set that waits longest is next, so one can be ahead only by the jobs that wait at once."""
    order = [job.scale_set for job in sorted(jobs, key=lambda job: job.started_at)]
    for count in range(1, JOBS + 1):
        shares = Counter(order[:count])
        assert abs(shares["sequoia"] - shares["sonoma"]) <= MAX_RUNNERS, order


def limited(health):
    """Whether a scale set waits and its reason names what it waits for."""
    return [
        one["detail"] for each in health["scale_sets"] for one in each["unmet"] if one["reason"] == "vm_limit"
    ]


def test_two_scale_sets_take_turns_in_the_one_slot_that_a_foreign_vm_leaves_them(
    github, mac, mac_daemon, two_sets
):
    """The kernel would allow more VMs: runscaler itself counts the foreign VM."""
    mac.tart.state(limit=9)
    program = mac_daemon(*two_sets())
    with mac.tart.start_foreign_vm(FOREIGN, home=mac.tart.home) as foreign, MacWatch(mac.tart) as watch:
        before = (mac.tart.vm_path(FOREIGN) / "config.json").read_bytes()
        program.start()
        program.wait_for(all_ok)
        ids = queue(github)
        health = program.wait_for(limited)
        jobs = github.wait_for_jobs(ids)
        assert program.stop() == 0
        assert mac.pids() == {FOREIGN: foreign.pid}
        assert (mac.tart.vm_path(FOREIGN) / "config.json").read_bytes() == before

    assert [job.result for job in jobs] == ["succeeded"] * len(ids)
    assert f"{FOREIGN} (not ours)" in limited(health)[0]
    assert most_at_once(mac.tart, but=(FOREIGN,)) == 1
    assert (watch.most, watch.doubled) == (2, set())
    assert "instead of 02:" not in program.log
    assert_both_took_turns(jobs)
    mac.assert_nothing_is_left(program, github)


def test_a_vm_waits_while_the_kernel_refuses_it_for_one_that_cannot_be_seen(
    github, mac, mac_daemon, two_sets
):
    """The foreign VM runs in a TART_HOME that the daemon does not know."""
    program = mac_daemon(*two_sets())
    with mac.tart.start_foreign_vm(FOREIGN) as foreign, MacWatch(mac.tart) as watch:
        program.start()
        program.wait_for(all_ok)
        ids = queue(github)
        program.wait_for(limited)
        jobs = github.wait_for_jobs(ids)
        health = program.wait_for(lambda health: of(health, "sonoma")["total"] == 0)
        assert program.stop() == 0
        assert foreign.poll() is None

    assert [job.result for job in jobs] == ["succeeded"] * len(ids)
    assert {(one["state"], one["reason"]) for one in health["scale_sets"]} == {("ok", "")}
    assert (most_at_once(mac.tart, but=(FOREIGN,)), watch.most, watch.doubled) == (1, 2, set())
    assert_both_took_turns(jobs)
    mac.assert_nothing_is_left(program, github)


@pytest.mark.parametrize("pool_size", [0, 1])
def test_the_slot_of_a_foreign_vm_that_ends_midway_is_used(
    github, mac, mac_daemon, two_sets, pool_size, latch
):
    mac.tart.state(limit=9)
    program = mac_daemon(*two_sets(pool_size=pool_size))
    with MacWatch(mac.tart) as watch, ExitStack() as stranger:
        stranger.enter_context(mac.tart.start_foreign_vm(FOREIGN, home=mac.tart.home))
        program.start()
        program.wait_for(all_ok)
        held = github.queue_jobs("sequoia", steps=[latch.step]) + github.queue_jobs(
            "sonoma", steps=[latch.step]
        )
        program.wait_for(limited)
        stranger.close()
        state = github.wait_until(lambda state: len(state.jobs_in("running")) == 2)
        latch.release()
        jobs = github.wait_for_jobs(held + queue(github))
        assert program.stop() == 0

    assert {job.scale_set for job in state.jobs_in("running")} == {"sequoia", "sonoma"}
    assert {job.result for job in jobs} == {"succeeded"}
    assert (watch.most, watch.doubled) == (2, set())
    assert most_at_once(mac.tart, but=(FOREIGN,)) == 2
    assert "instead of 02:" not in program.log
    mac.assert_nothing_is_left(program, github)
