"""Faults that a start, a stop or a crash of the whole program meets, and offers that go wrong."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.daemon import Daemon, of, serving, wait_until
from support.siege import POLL, Blow, Siege, blow, configured

from runscaler.testing.simulator import FAST, Flavour, JobState, Match, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.testing.simulator import JobView

TIMERS = replace(FAST, long_poll=1.0, session=60.0, agent_silence=60.0, registration=600.0, lease=60.0)
NAME = "linux"
AT_START: dict[str, tuple[Blow, ...]] = {
    "F8": (blow("F8", Match(path="/api/v3/")),),
    "F13": (blow("F13", Match(path="/api/v3/"), count=2),),
    "F16": (blow("F16", seconds=1.0),),
    "F24 no-exp": (blow("F24", kind="no-exp"),),
    "F24 not-a-jwt": (blow("F24", kind="not-a-jwt"),),
    "F24 past": (blow("F24", kind="past"),),
    "F30 ahead": (blow("F30", seconds=120.0),),
    "F30 behind": (blow("F30", seconds=-120.0),),
    "F31": (blow("F31"),),
    "F33 token": (blow("F33"),),
    "F33 url": (blow("F33", field="url"),),
}
OFFERS = {
    "F56 fewer": blow("F56", kind="fewer"),
    "F56 none": blow("F56", kind="none"),
    "F56 409": blow("F56", kind="409"),
    "F56 500": blow("F56", kind="500"),
    "F56 slow": blow("F56", kind="slow", seconds=1.0),
}


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(timers=TIMERS) as simulated:
        yield simulated


@pytest.fixture
def siege(github: SimulatedGitHub, tmp_path) -> Siege:
    """Not started yet."""
    return Siege(github, Daemon(tmp_path, configured(github, NAME, max_runners=3)))


@pytest.mark.parametrize("case", AT_START)
def test_a_start_gets_through_a_fault_by_itself(siege: Siege, case: str) -> None:
    faults = siege.strike(*AT_START[case])

    with siege:
        siege.wait_for(NAME, lambda status: status.state == "ok")
        jobs = siege.jobs(NAME)
        siege.wait_for_hits(faults)
        siege.wait_until_clear(NAME)

    assert {one.result for one in jobs} == {"succeeded"}
    siege.assert_nothing_is_left()


@pytest.mark.parametrize("case", ["F40", "F64"])
def test_a_stop_ends_though_github_refuses_and_the_next_start_puts_it_right(siege: Siege, case: str) -> None:
    with siege:
        siege.jobs(NAME, 1)
        siege.wait_until_clear(NAME)
        refused = siege.strike(blow(case))
        siege.scaler.stop()
        siege.wait_for_hits(refused)

    assert not all(one.deleted for one in siege.github.state().scale_sets)
    siege.github.client_restarted()
    with siege:
        siege.wait_for(NAME, lambda status: status.state == "ok")
        siege.jobs(NAME, 1)
        siege.wait_until_clear(NAME)
    siege.assert_nothing_is_left()


def test_a_stop_does_not_wait_for_a_poll_that_hangs(siege: Siege) -> None:
    """F6: the poll alone would take its 90 s."""
    with siege:
        siege.wait_for_hits(siege.strike(blow("F6", POLL)))
        siege.scaler.request_stop()

        assert siege.scaler.wait(30) == ""
    siege.assert_nothing_is_left()


def test_a_daemon_killed_before_its_acknowledgement_hears_again_and_does_nothing_twice(
    github: SimulatedGitHub, tmp_path
) -> None:
    """F54."""
    program = Daemon(tmp_path, configured(github, NAME, max_runners=3))
    try:
        program.start()
        program.wait_for(serving)
        hanging = github.inject("F54")
        ids = github.queue_jobs(NAME, 3, steps=["sleep 2"])
        wait_until(lambda: github.hits(hanging), "the acknowledgement")
        program.signal(signal.SIGKILL)
        program.ended()
        github.client_restarted()
        github.clear_faults()
        program.start()
        jobs = github.wait_for_jobs(ids)
        program.wait_for(lambda health: serving(health) and of(health, NAME)["total"] == 0)

        assert [(one.result, one.attempts) for one in jobs] == [("succeeded", 1)] * 3
        assert (program.stop(), program.leftovers()) == (0, [])
        assert github.final_violations() == ()
    finally:
        program.close()


@pytest.fixture(scope="module")
def offered(tmp_path_factory) -> Iterator[Siege]:
    """A daemon at the service that offers jobs."""
    with SimulatedGitHub(timers=TIMERS, flavour=Flavour.ACQUIRE) as github:
        keys = configured(github, NAME, max_runners=3, idle_timeout="2s")
        made = Siege(github, Daemon(tmp_path_factory.mktemp("offered"), keys))
        with made:
            yield made
        made.assert_nothing_is_left()


def settled(job: JobView) -> bool:
    """Done, or gone to another scale set, which is faster with it for ever: there is none."""
    return job.state in (JobState.COMPLETED, JobState.QUEUED)


@pytest.mark.parametrize("case", OFFERS)
def test_jobs_run_after_offers_that_went_wrong(offered: Siege, case: str) -> None:
    faults = offered.strike(OFFERS[case])
    disturbed = offered.github.queue_jobs(NAME, 3, steps=["true"])
    offered.wait_for_hits(faults)
    offered.github.wait_until(lambda state: all(settled(job) for job in state.jobs if job.id in disturbed))
    offered.wait_for(NAME, lambda status: status.total == 0)
    for job in offered.github.state().jobs:
        if job.state is JobState.QUEUED:
            offered.github.cancel_job(job.id)
    jobs = offered.jobs(NAME)
    offered.wait_until_clear(NAME)

    assert {one.result for one in jobs} == {"succeeded"}
    assert offered.github.violations() == ()
    assert offered.of(NAME).restarts == 0
