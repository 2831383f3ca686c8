"""What jobs leave beside their runners, through the whole program (docs/behaviour.md § 7.1)."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from support.daemon import of, wait_until
from support.engine import connect, shell_image
from support.siblings import ALL, LeftByJob, label_of

from runscaler.testing.simulator import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.daemon import Latch

pytestmark = pytest.mark.engine
FOREIGN = "f0f0f0"


@pytest.fixture
def left_with() -> Iterator[Callable[[str, str], LeftByJob]]:
    """`left_with(engine_url, label)` makes what the job of a runner with that label leaves."""
    with ExitStack() as undo:

        def leave(url: str, label: str) -> LeftByJob:
            return undo.enter_context(LeftByJob(url, shell_image(url), label))

        yield leave


@pytest.mark.parametrize("killed", [False, True], ids=["alive", "killed"])
def test_exactly_what_the_job_of_an_ended_runner_left_goes(
    github, docker, daemon, scale_set, engine_url, latch: Latch, left_with, killed
):
    table = {**docker["docker"], "dind": True, "volumes": [latch.volume]}
    program = daemon(scale_set("linux", {**docker, "docker": table}, max_runners=2))
    program.start()
    jobs = github.queue_jobs("linux", 2, steps=[latch.step])
    dead, live = (job.runner for job in github.wait_for_jobs(jobs, JobState.RUNNING))
    of_dead, of_live = (left_with(engine_url, label_of(engine_url, name)) for name in (dead, live))
    foreign = left_with(engine_url, FOREIGN)

    if killed:
        program.signal(signal.SIGKILL)
        assert program.ended() == -signal.SIGKILL
        github.client_restarted()
    with connect(engine_url) as api:
        api.kill(dead)
    if killed:
        program.start()

    wait_until(lambda: dead not in program.resources(), "the runner is removed")
    assert of_dead.left() == []
    assert set(of_live.left()) == ALL == set(foreign.left())
    latch.release()
    program.wait_for(lambda health: of(health, "linux")["total"] == 0)
    assert of_live.left() == []
    assert set(foreign.left()) == ALL
    assert program.stop() == 0
