"""Faults during a start, a stop or a crash of the whole program, and offers that fail."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.daemon import Daemon, all_ok, of, wait_until
from support.embedded import POLL, EmbeddedDaemon, Fault, configured, make_fault

from runscaler.testing.simulator import FAST, Flavour, JobState, Match, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.testing.simulator import JobView

TIMERS = replace(FAST, long_poll=1.0, session=60.0, agent_silence=60.0, registration=600.0, lease=60.0)
NAME = "linux"
AT_START: dict[str, tuple[Fault, ...]] = {
    "F8": (make_fault("F8", Match(path="/api/v3/")),),
    "F13": (make_fault("F13", Match(path="/api/v3/"), count=2),),
    "F16": (make_fault("F16", seconds=1.0),),
    "F24 no-exp": (make_fault("F24", kind="no-exp"),),
    "F24 not-a-jwt": (make_fault("F24", kind="not-a-jwt"),),
    "F24 past": (make_fault("F24", kind="past"),),
    "F30 ahead": (make_fault("F30", seconds=120.0),),
    "F30 behind": (make_fault("F30", seconds=-120.0),),
    "F31": (make_fault("F31"),),
    "F33 token": (make_fault("F33"),),
    "F33 url": (make_fault("F33", field="url"),),
}
OFFERS = {
    "F56 fewer": make_fault("F56", kind="fewer"),
    "F56 none": make_fault("F56", kind="none"),
    "F56 409": make_fault("F56", kind="409"),
    "F56 500": make_fault("F56", kind="500"),
    "F56 slow": make_fault("F56", kind="slow", seconds=1.0),
}


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(timers=TIMERS) as simulated:
        yield simulated


@pytest.fixture
def embedded(github: SimulatedGitHub, tmp_path) -> EmbeddedDaemon:
    """The daemon, not started yet."""
    return EmbeddedDaemon(github, Daemon(tmp_path, configured(github, NAME, max_runners=3)))


@pytest.mark.parametrize("case", AT_START)
def test_a_start_survives_a_fault(embedded: EmbeddedDaemon, case: str) -> None:
    faults = embedded.inject(*AT_START[case])

    with embedded:
        embedded.wait_for(NAME, lambda status: status.state == "ok")
        jobs = embedded.jobs(NAME)
        embedded.wait_for_hits(faults)
        embedded.wait_until_clear(NAME)

    assert {one.result for one in jobs} == {"succeeded"}
    embedded.assert_nothing_is_left()


@pytest.mark.parametrize("case", ["F40", "F64"])
def test_a_stop_ends_though_github_refuses_and_the_next_start_cleans_up(
    embedded: EmbeddedDaemon, case: str
) -> None:
    with embedded:
        embedded.jobs(NAME, 1)
        embedded.wait_until_clear(NAME)
        refused = embedded.inject(make_fault(case))
        embedded.scaler.stop()
        embedded.wait_for_hits(refused)

    assert not all(one.deleted for one in embedded.github.state().scale_sets)
    embedded.github.client_restarted()
    with embedded:
        embedded.wait_for(NAME, lambda status: status.state == "ok")
        embedded.jobs(NAME, 1)
        embedded.wait_until_clear(NAME)
    embedded.assert_nothing_is_left()


def test_a_stop_does_not_wait_for_a_poll_that_hangs(embedded: EmbeddedDaemon) -> None:
    """F6: the poll alone would take 90 s."""
    with embedded:
        embedded.wait_for_hits(embedded.inject(make_fault("F6", POLL)))
        embedded.scaler.request_stop()

        assert embedded.scaler.wait(30) == ""
    embedded.assert_nothing_is_left()


def test_a_daemon_killed_before_it_acknowledged_gets_the_message_again_and_repeats_nothing(
    github: SimulatedGitHub, tmp_path
) -> None:
    """F54."""
    program = Daemon(tmp_path, configured(github, NAME, max_runners=3))
    try:
        program.start()
        program.wait_for(all_ok)
        hanging = github.inject("F54")
        ids = github.queue_jobs(NAME, 3, steps=["sleep 2"])
        wait_until(lambda: github.hits(hanging), "the acknowledgement")
        program.signal(signal.SIGKILL)
        program.ended()
        github.client_restarted()
        github.clear_faults()
        program.start()
        jobs = github.wait_for_jobs(ids)
        program.wait_for(lambda health: all_ok(health) and of(health, NAME)["total"] == 0)

        assert [(one.result, one.attempts) for one in jobs] == [("succeeded", 1)] * 3
        assert (program.stop(), program.leftovers()) == (0, [])
        assert github.final_violations() == ()
    finally:
        program.close()


@pytest.fixture(scope="module")
def offered(tmp_path_factory) -> Iterator[EmbeddedDaemon]:
    """A daemon at a GitHub that offers jobs instead of assigning them."""
    with SimulatedGitHub(timers=TIMERS, flavour=Flavour.ACQUIRE) as github:
        keys = configured(github, NAME, max_runners=3, idle_timeout="2s")
        made = EmbeddedDaemon(github, Daemon(tmp_path_factory.mktemp("offered"), keys))
        with made:
            yield made
        made.assert_nothing_is_left()


def is_over(job: JobView) -> bool:
    """Completed, or left to another scale set that is always faster, although there is none."""
    return job.state in (JobState.COMPLETED, JobState.QUEUED)


@pytest.mark.parametrize("case", OFFERS)
def test_jobs_run_after_offers_that_failed(offered: EmbeddedDaemon, case: str) -> None:
    faults = offered.inject(OFFERS[case])
    disturbed = offered.github.queue_jobs(NAME, 3, steps=["true"])
    offered.wait_for_hits(faults)
    offered.github.wait_until(lambda state: all(is_over(job) for job in state.jobs if job.id in disturbed))
    offered.wait_for(NAME, lambda status: status.total == 0)
    for job in offered.github.state().jobs:
        if job.state is JobState.QUEUED:
            offered.github.cancel_job(job.id)
    jobs = offered.jobs(NAME)
    offered.wait_until_clear(NAME)

    assert {one.result for one in jobs} == {"succeeded"}
    assert offered.github.violations() == ()
    assert offered.of(NAME).restarts == 0
