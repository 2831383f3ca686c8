"""`kill -9` at any moment, again and again: every job runs once, nothing is left (spec.md 8.2)."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support.daemon import CLOCK, Daemon, serving

from runscaler.interrupt import Interrupt
from runscaler.testing.simulator import JobState

if TYPE_CHECKING:
    from pathlib import Path

JOBS, KILLS = 40, 5
MOST = 6
LONGEST_JOB, LONGEST_LIFE = 0.5, 2.0
"""Seconds. A life may be over before the first runner is."""


def proving_step(proof: Path, seconds: float) -> str:
    """Writes down that it began and that it came to its end."""
    return f"echo start >> {proof}; sleep {seconds:.2f}; echo end >> {proof}"


@pytest.mark.parametrize("seed", [11])
def test_forty_jobs_run_once_each_though_the_daemon_is_killed_five_times(
    github, daemon, scale_set, tmp_path, seed
):
    chance = random.Random(seed)
    program = daemon(scale_set("linux", backend="process", max_runners=MOST, min_runners=1))
    proofs = [tmp_path / f"proof-{number}" for number in range(JOBS)]
    program.start()
    program.wait_for(serving)

    ids = []
    for life in range(KILLS):
        ids += [queue(github, proof, chance) for proof in proofs[life::KILLS]]
        CLOCK.pause(chance.uniform(0.0, LONGEST_LIFE), Interrupt())
        restart(program, github)
    jobs = github.wait_for_jobs(ids)
    code = program.stop()

    assert {(job.result, job.state) for job in jobs} == {("succeeded", JobState.COMPLETED)}
    assert {proof.read_text() for proof in proofs} == {"start\nend\n"}
    assert (code, program.errors, program.leftovers()) == (0, "", [])
    assert not github.state().runners_in("registered", "idle", "busy", "offline")
    assert all(one.deleted for one in github.state().scale_sets)
    assert github.final_violations() == ()


def queue(github: Any, proof: Path, chance: random.Random) -> str:
    (job,) = github.queue_jobs("linux", steps=[proving_step(proof, chance.uniform(0.0, LONGEST_JOB))])
    return str(job)


def restart(program: Daemon, github: Any) -> None:
    program.signal(signal.SIGKILL)
    assert program.ended() == -signal.SIGKILL
    github.client_restarted()
    program.start()
