"""GitHub is unreachable for ten minutes: no runner is removed, little is logged, and work goes on afterwards.

The daemon's clock runs twenty times as fast as real time, and GitHub's durations are shortened as much. Only
tokens keep their lifetime, so that none is renewed too early for GitHub.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.daemon import Daemon, Latch
from support.embedded import make_fault
from support.outage import Outage, OutageRecord

from runscaler.simulator.timers import GITHUB
from runscaler.testing.simulator import Match, SimulatedGitHub, Timers

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTOR = 20.0
AWAY_SECONDS = 600.0
"""By the daemon's clock."""
REFUSED, KEPT, FAILING = "refused", "kept", "failing"
"""No connection; no connection, but the session survives the outage; 503 as the answer to each call."""
CUT = ("dropped the connection", "refused the connection")
OUTAGES = {
    REFUSED: (make_fault("F2", seconds=0.0),),
    KEPT: (make_fault("F2", seconds=0.0),),
    FAILING: tuple(
        make_fault("F13", Match(path=path), count=None, status=503) for path in ("/_apis/", "/_sim/queue/")
    ),
}
NAMED = {REFUSED: CUT, KEPT: CUT, FAILING: ("answered 503",)}
"""The reason must contain one of these."""
ALL = tuple(OUTAGES)
MAX_LINES, MAX_STATE_LINES = 6, 2
"""Of the log, and of its lines about the state: first a connection is dropped, then others are refused."""


def timers(session: float) -> Timers:
    """Leases outlive the outage, so that GitHub does not end a job or take it back."""
    return replace(
        GITHUB,
        long_poll=GITHUB.long_poll / FACTOR,
        session=session / FACTOR,
        lease=4 * AWAY_SECONDS / FACTOR,
        pick_up=60.0,
        agent_silence=60.0,
    )


TIMERS = {REFUSED: timers(120.0), KEPT: timers(3600.0), FAILING: timers(120.0)}


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Iterator[OutageRecord]:
    """After the outage, with jobs queued before, during and after it; the daemon still runs."""
    latch = Latch()
    githubs = {name: SimulatedGitHub(timers=TIMERS[name]) for name in ALL}
    for github in githubs.values():
        github.start()
    files = Daemon(tmp_path_factory.mktemp("away"), Outage.config(githubs))
    try:
        with Outage(githubs, files, latch, FACTOR) as outage:
            yield outage.run(OUTAGES, AWAY_SECONDS)
    finally:
        latch.close()
        for github in githubs.values():
            github.stop()


def names_the_reason(text: str, name: str) -> bool:
    return any(words in text for words in NAMED[name])


@pytest.mark.parametrize("name", ALL)
def test_no_runner_is_touched_while_github_is_away(record: OutageRecord, name: str) -> None:
    """One is busy, two are idle.

    A GitHub that fails only the daemon's calls may still give an idle one a job; then it ends by itself.
    """
    given_a_job = {job.runner for job in record.jobs["during"][name]} if name == FAILING else set()
    touched = {runner for _, runner in record.before[name] - record.after[name]}

    assert len(record.before[name]) == 3
    assert touched <= given_a_job
    assert record.started_during[name] == 0


@pytest.mark.parametrize("name", ALL)
def test_the_scale_set_is_degraded_all_the_time_and_names_the_reason(record: OutageRecord, name: str) -> None:
    assert record.states[name] == {"degraded"}
    assert [reason for reason in record.reasons[name] if not names_the_reason(reason, name)] == []


@pytest.mark.parametrize("name", ALL)
def test_ten_minutes_are_a_few_log_lines_that_name_the_problem_and_the_next_try(
    record: OutageRecord, name: str
) -> None:
    lines = record.log[name]
    state_lines = [line for line in lines if "degraded" in line]
    # With a GitHub that answers, an acknowledgement may be given up before the first poll fails.

    assert len(lines) <= MAX_LINES, "\n".join(lines)
    assert 1 <= len(state_lines) <= MAX_STATE_LINES, "\n".join(state_lines)
    assert all(
        names_the_reason(line, name) and ("trying again" in line or "next try in" in line)
        for line in state_lines
    )
    assert len([line for line in lines if "scale set is ok" in line]) <= (name == FAILING)


@pytest.mark.parametrize("name", [REFUSED, KEPT])
def test_the_first_poll_that_succeeds_makes_the_scale_set_ok(record: OutageRecord, name: str) -> None:
    """The next poll may have started before the daemon noticed.

    A scale set whose starts failed for ten minutes is ok only after the next start, at most a minute later.
    """
    assert record.extra_polls_when_ok[name] <= 1


@pytest.mark.parametrize("when", ["before", "during", "after"])
@pytest.mark.parametrize("name", ALL)
def test_jobs_queued_before_during_and_after_the_outage_run(
    record: OutageRecord, name: str, when: str
) -> None:
    (job,) = record.jobs[when][name]

    assert (job.result, job.attempts) == ("succeeded", 1)


def test_a_job_that_ran_all_the_time_stayed_on_its_runner(record: OutageRecord) -> None:
    for name in ALL:
        (job,) = record.jobs["before"][name]
        assert job.runner in {runner for _, runner in record.before[name]}


def test_the_stop_leaves_nothing_and_no_rule_was_broken(record: OutageRecord) -> None:
    """Runs last."""
    record.outage.scaler.stop()

    assert record.outage.files.leftovers() == []
    for github in record.outage.githubs.values():
        assert github.final_violations() == ()
        assert all(one.deleted for one in github.state().scale_sets)
