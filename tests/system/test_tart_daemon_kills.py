"""`kill -9` at every step of a Tart VM's life, and how the next start handles the VM. docs/tart.md § 15"""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from support.daemon import all_ok, wait_until
from support.kill_loop import JobOutputs

from runscaler.testing.fake_tart_host import Rule
from runscaler.testing.simulator import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mac import Mac

COLD, WARM = {"max_vms": 1}, {"max_vms": 1, "pool_size": 1}
"""With a single VM slot, jobs run only if the slot is free again."""


@dataclass(frozen=True)
class Step:
    """`reached` tells whether the daemon has come to the step; `rule` keeps it there.

    Without a rule the guests' agents do not answer.
    """

    reached: Callable[[Mac], object]
    rule: Rule | None = None
    tart: dict[str, int] = field(default_factory=lambda: COLD)
    needs_job: bool = True
    min_runners: int = 0


def calls(command: str) -> Callable[[Mac], object]:
    return lambda mac: mac.pending(command)


def clones_a_file(mac: Mac) -> object:
    return mac.pending("clone") and [*(mac.tart.home / "tmp").iterdir()]


def has_cloned(mac: Mac) -> object:
    return mac.pending("clone") and mac.tart.vms()


def runs_a_vm(mac: Mac) -> object:
    return [vm for vm in mac.pids() if mac.record(vm).get("phase") == "booting"]


def has_started_the_runner(mac: Mac) -> object:
    return mac.pending("exec") and mac.injected()


def is_ending(mac: Mac) -> object:
    return [vm for vm in mac.pids() if mac.record(vm).get("phase") == "removing"]


def has_half_deleted(mac: Mac) -> object:
    return mac.pending("delete") and not any(mac.tart.home.glob("vms/*/config.json"))


def has_deleted(mac: Mac) -> object:
    return mac.pending("delete") and not mac.tart.vms()


def held(command: str, when: str = "before", contains: str = "") -> Rule:
    return Rule(command, when=when, contains=contains, do="hang")


INJECTION = {when: held("exec", when, "exec -i") for when in ("before", "during", "after")}
STEPS = {
    "before the clone": Step(calls("clone"), held("clone")),
    "in the clone": Step(clones_a_file, held("clone", "during")),
    "after the clone": Step(has_cloned, held("clone", "after")),
    "before set": Step(calls("set"), held("set"), {**COLD, "cpu": 4}),
    "in set": Step(calls("set"), held("set", "during"), {**COLD, "cpu": 4}),
    "before run": Step(calls("run"), held("run")),
    "in the boot": Step(runs_a_vm),
    "before the injection": Step(calls("exec"), INJECTION["before"]),
    "in the injection": Step(calls("exec"), INJECTION["during"]),
    "after the injection": Step(has_started_the_runner, INJECTION["after"], needs_job=False, min_runners=1),
    "before its process ends": Step(is_ending, Rule("run", do="ignore")),
    "before the removal": Step(calls("delete"), held("delete")),
    "in the removal": Step(has_half_deleted, held("delete", "during")),
    "after the removal": Step(has_deleted, held("delete", "after")),
    "before the pool's clone": Step(calls("clone"), held("clone"), WARM, needs_job=False),
    "after the pool's clone": Step(has_cloned, held("clone", "after"), WARM, needs_job=False),
    "before the pool's run": Step(calls("run"), held("run"), WARM, needs_job=False),
    "in the pool's boot": Step(runs_a_vm, None, WARM, needs_job=False),
    "before a warm injection": Step(calls("exec"), INJECTION["before"], WARM),
    "in a warm injection": Step(calls("exec"), INJECTION["during"], WARM),
    "after a warm injection": Step(has_started_the_runner, INJECTION["after"], WARM, False, 1),
    "in a warm VM's removal": Step(has_half_deleted, held("delete", "during"), WARM),
}


@pytest.fixture
def outputs() -> Iterator[JobOutputs]:
    made = JobOutputs(2)
    yield made
    shutil.rmtree(made.folder)


@pytest.fixture
def killed(github, mac, mac_daemon, scale_set):
    """`killed(tart, reached, …)`: a daemon that was killed as soon as `reached` was true."""

    def make(tart, reached, *, jobs=(), min_runners=0):
        keys = scale_set("macs", mac.keys(**tart), max_runners=1, min_runners=min_runners)
        program = mac_daemon(keys)
        program.start()
        program.wait_for(all_ok)
        ids = [id_ for step in jobs for id_ in github.queue_jobs("macs", steps=[step])]
        wait_until(lambda: reached(mac), "the step to be killed in")
        program.signal(signal.SIGKILL)
        assert program.ended() == -signal.SIGKILL
        github.client_restarted()
        return program, ids

    return make


@pytest.mark.parametrize("name", STEPS)
def test_after_a_kill_the_slot_is_free_and_each_job_runs_once(name, github, mac, killed, outputs):
    step = STEPS[name]
    if step.rule is None:
        mac.tart.state(agent={"*": "never"})
    else:
        mac.tart.rules(step.rule)
    first = [outputs.step(0, 0.05)] if step.needs_job else []
    program, ids = killed(step.tart, step.reached, jobs=first, min_runners=step.min_runners)

    mac.tart.rules()
    mac.tart.state(agent={})
    mac.end_hung_calls()
    program.start()
    for number in range(len(ids), 2):
        ids += github.queue_jobs("macs", steps=[outputs.step(number, 0.05)])
    jobs = github.wait_for_jobs(ids)

    assert program.stop() == 0
    assert {(job.result, job.state) for job in jobs} == {("succeeded", JobState.COMPLETED)}
    assert outputs.wrong() == {}
    assert len({one.vm for one in mac.injected()}) == len(mac.injected()), "two runners in one VM"
    mac.assert_nothing_is_left(program, github)


@pytest.mark.parametrize("tart", [COLD, WARM], ids=["cold", "warm"])
def test_a_job_goes_on_in_its_vm_under_the_next_daemon(github, mac, killed, latch, tart):
    program, ids = killed(tart, lambda _: github.state().jobs_in(JobState.RUNNING), jobs=[latch.step, "true"])
    (running,) = github.state().jobs_in(JobState.RUNNING)
    before = mac.pids()

    program.start()
    program.wait_for(lambda health: all_ok(health) and health["scale_sets"][0]["busy"] == 1)
    taken_over = mac.pids()
    latch.release()
    jobs = github.wait_for_jobs(ids)

    assert (len(before), taken_over) == (1, before)
    assert program.stop() == 0
    assert {(job.result, job.attempts) for job in jobs} == {("succeeded", 1)}
    assert jobs[0].runner == running.runner
    mac.assert_nothing_is_left(program, github)


def test_a_warm_vm_is_adopted_and_the_next_job_runs_in_it(github, mac, killed):
    program, _ = killed(WARM, lambda mac: mac.in_phase("pooled"))
    before = mac.pids()

    program.start()
    (job,) = github.wait_for_jobs(github.queue_jobs("macs"))

    assert [one.vm for one in mac.injected()] == [*before]
    assert program.stop() == 0
    assert (job.result, job.attempts) == ("succeeded", 1)
    mac.assert_nothing_is_left(program, github)


def test_a_vm_that_is_probed_by_exec_ends_with_its_daemon(github, mac, killed):
    """It is probed because the path of its socket is too long."""
    home = mac.folder / ("long" * 25)
    mac.add_image(home=home)
    mac.tart.rules(held("exec", contains="/usr/bin/true"))
    program, ids = killed({**COLD, "home": str(home)}, calls("exec"), jobs=["true"])

    mac.tart.rules()
    mac.end_hung_calls()
    program.start()
    (job,) = github.wait_for_jobs(ids)

    assert program.stop() == 0
    assert (job.result, job.attempts, list((home / "vms").iterdir())) == ("succeeded", 1, [])
    mac.assert_nothing_is_left(program, github)


def test_a_clone_that_outlives_its_daemon_leaves_nothing(github, mac, killed):
    mac.tart.rules(Rule("clone", when="during", do="delay", seconds=5.0, times=1))
    program, _ = killed(COLD, calls("clone"), jobs=["true"])
    (late,) = mac.pending("clone")

    program.start()
    program.wait_for(all_ok)
    wait_until(
        lambda: mac.tart.journal() and late.pid not in {one.pid for one in mac.pending("clone")}, "its end"
    )
    jobs = github.wait_for_jobs([one.id for one in github.state().jobs])

    assert program.stop() == 0
    assert {job.result for job in jobs} == {"succeeded"}
    mac.assert_nothing_is_left(program, github)
