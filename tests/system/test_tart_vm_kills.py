"""Two hundred jobs in Tart VMs, some killed while warm, idle or busy. docs/tart.md § 17, T26 and T40"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from loguru import logger
from support.daemon import all_ok, wait_until
from support.kill_loop import JobOutputs
from support.mac_watch import MacWatch

from runscaler.testing.simulator import FAST, JobState, RunnerState, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mac import Mac

TIMERS = replace(
    FAST, long_poll=1.0, session=60.0, agent_silence=60.0, registration=600.0, lease=6.0, pick_up=60.0
)
WAVES, WAVE, DEATHS, SEED = 4, 50, 6, 5
"""`DEATHS` VMs of runners are killed in each wave, and two warm ones before it."""
JOB_SECONDS = (0.0, 0.2)


@dataclass
class Killer:
    """Ends VMs, each time in another way."""

    github: SimulatedGitHub
    mac: Mac
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    ended: list[tuple[str, str, str]] = field(default_factory=list)
    """The VM, its state and the way in which it ended."""

    def end_some(self, wave: int, deaths: int) -> None:
        """End VMs of runners, half of them busy, after random numbers of the wave's jobs have ended."""
        before = self.github.state().completed
        for moment in sorted(self.chance.sample(range(wave - 10), deaths)):
            self.github.wait_until(lambda state, at=before + moment: state.completed >= at, timeout=200)
            self.end_one(self.busy if self.chance.random() < 0.5 else self.any_of_a_runner)

    def end_one(self, choice: Callable[[], list[str]]) -> None:
        means = (self.kill, self.shut_down, self.stop, self.delete)[len(self.ended) % 4]
        vm = self.chance.choice(wait_until(choice, f"a VM: {choice.__name__}"))
        self.ended.append((vm, choice.__name__, means.__name__))
        means(vm)

    def pooled(self) -> list[str]:
        return self.mac.in_phase("pooled")

    def busy(self) -> list[str]:
        busy = {runner.name for runner in self.github.state().runners_in(RunnerState.BUSY)}
        return [vm for vm in self.mac.pids() if self.mac.record(vm).get("runner_name") in busy]

    def any_of_a_runner(self) -> list[str]:
        return [vm for vm in self.mac.pids() if self.mac.record(vm).get("runner_name")]

    def kill(self, vm: str) -> None:
        self.mac.tart.kill_vm(vm)

    def shut_down(self, vm: str) -> None:
        self.mac.tart.call("exec", vm, "/sbin/shutdown", "-h", "now")

    def stop(self, vm: str) -> None:
        self.mac.tart.call("stop", vm, "--timeout", "1")

    def delete(self, vm: str) -> None:
        self.stop(vm)
        self.mac.tart.call("delete", vm)


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(timers=TIMERS) as simulated:
        yield simulated


@pytest.fixture
def outputs() -> Iterator[JobOutputs]:
    made = JobOutputs(WAVES * WAVE)
    yield made
    shutil.rmtree(made.folder)


@pytest.mark.timeout(600)
def test_only_jobs_whose_own_vm_died_are_lost(github, mac, mac_daemon, scale_set, outputs):
    chance = random.Random(SEED)
    program = mac_daemon(scale_set("macs", mac.keys(pool_size=2, max_vms=2), max_runners=4))
    killer = Killer(github, mac)
    ids: list[str] = []
    with MacWatch(mac.tart) as watch:
        program.start()
        program.wait_for(all_ok)
        for wave in range(WAVES):
            for _ in range(2):
                wait_until(lambda: len(mac.in_phase("pooled")) == 2, "a full pool", seconds=200)
                killer.end_one(killer.pooled)
            steps = [outputs.step(wave * WAVE + each, chance.uniform(*JOB_SECONDS)) for each in range(WAVE)]
            ids += [id_ for step in steps for id_ in github.queue_jobs("macs", steps=[step])]
            killer.end_some(WAVE, DEATHS)
        jobs = github.wait_for_jobs(ids, timeout=200)
        wait_until(lambda: len(mac.in_phase("pooled")) == 2, "the pool, full again")
        assert program.stop() == 0

    dead = {vm for vm, _, _ in killer.ended}
    cut = {one.runner for one in mac.injected() if one.vm in dead}
    lost = [job for job in jobs if job.result != "succeeded"]
    logger.info("{} deaths: {}; {} jobs lost", len(killer.ended), killer.ended, len(lost))
    assert {job.state for job in jobs} == {JobState.COMPLETED}
    assert [job for job in lost if job.runner not in cut] == []
    whole = {number for number, job in enumerate(jobs) if job.result == "succeeded"}
    wrong = outputs.wrong()
    assert whole & wrong.keys() == set()
    assert [text for text in wrong.values() if text.count("start") > 1] == []
    assert (watch.most, watch.doubled) == (2, set())
    assert "instead of 02:" not in program.log
    assert "crashed" not in program.log
    mac.assert_nothing_is_left(program, github)
