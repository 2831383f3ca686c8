"""Runners and registrations that go without a message, on a faster clock (docs/behaviour.md § 6.5).

GitHub's clock is real, with short durations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from loguru import logger
from support.accelerated import AcceleratedAutoscaler, AcceleratedClock
from support.daemon import Daemon
from support.embedded import EmbeddedDaemon, configured, make_fault

from runscaler.testing.simulator import GITHUB, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runscaler.testing.simulator import ScaleSetView

TIMERS = replace(GITHUB, long_poll=1.0, session=60.0, agent_silence=600.0, registration=600.0, pick_up=600.0)
NAME = "linux"
FACTOR = 20.0
THREE_MINUTES = 180.0
FIVE_MINUTES = 300.0
"""By the daemon's clock: within these, what went unseen must be found out (docs/protocol.md § 10.7)."""


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(Options(timers=TIMERS)) as simulated:
        yield simulated


@pytest.fixture
def started(github: SimulatedGitHub, tmp_path: Path) -> Iterator[Callable[..., EmbeddedDaemon]]:
    """`started(max_runners=2)`: a daemon whose clock runs `factor` times as fast."""
    made: list[EmbeddedDaemon] = []

    def start(factor: float = FACTOR, **keys: object) -> EmbeddedDaemon:
        files = Daemon(tmp_path, configured(github, NAME, **keys))
        made.append(EmbeddedDaemon(github, files, AcceleratedClock(factor), AcceleratedAutoscaler))
        return made[-1].__enter__()

    yield start
    for one in made:
        one.__exit__(None, None, None)
        one.assert_nothing_is_left()


def test_a_runner_that_lingers_after_a_job_whose_end_is_never_told_makes_room_within_three_minutes(
    github: SimulatedGitHub, started: Callable[..., EmbeddedDaemon]
) -> None:
    """F88."""
    embedded = started(max_runners=2)
    (lingering,) = embedded.inject(make_fault("F88", count=2))
    over = embedded.jobs(NAME, 2)
    ids = github.queue_jobs(NAME, 2, steps=["true"])
    jobs = github.wait_for_jobs(ids, timeout=THREE_MINUTES / FACTOR)
    embedded.wait_until_clear(NAME)

    assert github.hits(lingering) == 2
    assert [(one.result, one.attempts) for one in (*over, *jobs)] == [("succeeded", 1)] * 4
    assert len({one.runner for one in (*over, *jobs)}) == 4
    assert embedded.of(NAME).counters.runners_failed == 0


def test_jobs_are_not_left_to_runners_that_hang_in_a_job_whose_end_could_not_be_read(
    github: SimulatedGitHub, started: Callable[..., EmbeddedDaemon]
) -> None:
    """F88, by way of F85 and F51: a job is inside, so they stay, though GitHub has forgotten them."""
    embedded = started(max_runners=3, drain_timeout="10s")
    faults = embedded.inject(make_fault("F85", count=None), make_fault("F51", count=None, kind="text"))
    over = github.queue_jobs(NAME, 2, steps=["true"])
    github.wait_for_jobs(over)
    github.wait_until(lambda state: all_told(state.scale_set(NAME)))
    for each in faults:
        github.remove_fault(each)
    jobs = embedded.jobs(NAME, 2)

    assert {(one.result, one.attempts) for one in jobs} == {("succeeded", 1)}
    assert embedded.of(NAME).counters.runners_failed == 0
    for runner in embedded.files.resources():  # they ignore SIGTERM, and its 10 s do not pass faster
        embedded.files.kill_runner(runner)


def all_told(scale_set: ScaleSetView | None) -> bool:
    """Whether every message was delivered and acknowledged."""
    return scale_set is not None and not scale_set.undeleted_messages and not scale_set.waiting_events


@pytest.mark.timeout(240)
def test_forty_registrations_that_vanish_at_once_are_replaced_within_five_minutes(
    github: SimulatedGitHub, started: Callable[..., EmbeddedDaemon]
) -> None:
    """F91."""
    factor = 5.0
    embedded = started(factor, max_runners=40, min_runners=40)
    github.wait_until(lambda state: sum(one.polling for one in state.runners) == 40)
    ghosts = {one.name for one in github.state().runners}
    embedded.inject(make_fault("F91", share=1.0))
    jobs = github.wait_for_jobs(github.queue_jobs(NAME, 40, steps=["true"]), timeout=FIVE_MINUTES / factor)
    seconds = factor * (max(one.finished_at for one in jobs) - jobs[0].queued_at)
    logger.info("40 jobs served {:.0f} s after 40 registrations had vanished", seconds)

    assert {(one.result, one.attempts) for one in jobs} == {("succeeded", 1)}
    assert not ghosts & {one.runner for one in jobs}
    assert embedded.of(NAME).counters.runners_failed == 0
