"""GitHub is away for ten minutes: nobody is touched, little is said, and all goes on when it is back.

The daemon's time runs twenty times as fast as ours, and GitHub's durations are as much shorter; tokens
alone live as long as ever, so that none is renewed too early for GitHub.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.daemon import Daemon, Latch
from support.embedded import make_fault
from support.outage import Outage, Play

from runscaler.simulator.timers import GITHUB
from runscaler.testing.simulator import Match, SimulatedGitHub, Timers

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTOR = 20.0
AWAY_SECONDS = 600.0
"""Of the daemon's time."""
REFUSED, KEPT, ILL = "refused", "kept", "ill"
"""No connection; the same, and its session is still there afterwards; each of
its calls is answered with 503."""
CUT = ("dropped the connection", "refused the connection")
OUTAGES = {
    REFUSED: (make_fault("F2", seconds=0.0),),
    KEPT: (make_fault("F2", seconds=0.0),),
    ILL: tuple(
        make_fault("F13", Match(path=path), count=None, status=503) for path in ("/_apis/", "/_sim/queue/")
    ),
}
NAMED = {REFUSED: CUT, KEPT: CUT, ILL: ("answered 503",)}
"""One of these the reason has to say."""
ALL = tuple(OUTAGES)
MOST_LINES, MOST_TOLD = 6, 2
"""Of all, and of those about the scale set's state: a connection is dropped before others are refused."""


def timers(session: float) -> Timers:
    """Jobs outlive the outage: a GitHub that is away neither ends one nor takes it back."""
    return replace(
        GITHUB,
        long_poll=GITHUB.long_poll / FACTOR,
        session=session / FACTOR,
        lease=4 * AWAY_SECONDS / FACTOR,
        pick_up=60.0,
        agent_silence=60.0,
    )


TIMERS = {REFUSED: timers(120.0), KEPT: timers(3600.0), ILL: timers(120.0)}


@pytest.fixture(scope="module")
def play(tmp_path_factory) -> Iterator[Play]:
    """The outage is over, and jobs were queued before, in and after it; the daemon still runs."""
    latch = Latch()
    githubs = {name: SimulatedGitHub(timers=TIMERS[name]) for name in ALL}
    for github in githubs.values():
        github.start()
    files = Daemon(tmp_path_factory.mktemp("away"), Outage.config(githubs))
    try:
        with Outage(githubs, files, latch, FACTOR) as outage:
            yield outage.played(OUTAGES, AWAY_SECONDS)
    finally:
        latch.close()
        for github in githubs.values():
            github.stop()


def says_why(text: str, name: str) -> bool:
    return any(words in text for words in NAMED[name])


@pytest.mark.parametrize("name", ALL)
def test_no_runner_is_touched_while_github_is_away(play: Play, name: str) -> None:
    """One is busy, two are idle. To a GitHub that only answers 503 to the daemon an idle one may be given
    a job, and end by itself."""
    employed = {job.runner for job in play.jobs["in"][name]} if name == ILL else set()
    touched = {runner for _, runner in play.before[name] - play.after[name]}

    assert len(play.before[name]) == 3
    assert touched <= employed
    assert play.started_meanwhile[name] == 0


@pytest.mark.parametrize("name", ALL)
def test_the_scale_set_is_degraded_all_the_time_and_says_why(play: Play, name: str) -> None:
    assert play.states[name] == {"degraded"}
    assert [reason for reason in play.reasons[name] if not says_why(reason, name)] == []


@pytest.mark.parametrize("name", ALL)
def test_ten_minutes_are_a_few_log_lines_that_name_the_problem_and_the_next_try(play: Play, name: str) -> None:
    lines = play.said[name]
    told = [line for line in lines if "degraded" in line]
    # To a GitHub that answers an acknowledgement may be given up before the first poll fails.

    assert len(lines) <= MOST_LINES, "\n".join(lines)
    assert 1 <= len(told) <= MOST_TOLD, "\n".join(told)
    assert all(says_why(line, name) and "trying again" in line for line in told)
    assert len([line for line in lines if "scale set is ok" in line]) <= (name == ILL)


@pytest.mark.parametrize("name", [REFUSED, KEPT])
def test_the_first_poll_that_succeeds_makes_the_scale_set_ok(play: Play, name: str) -> None:
    """The next may have begun before word of it was heard. Where starts failed for ten minutes, it takes
    the next of these, which backs off for a minute at most."""
    assert play.more_polls_when_ok[name] <= 1


@pytest.mark.parametrize("when", ["before", "in", "after"])
@pytest.mark.parametrize("name", ALL)
def test_jobs_queued_before_during_and_after_the_outage_run(play: Play, name: str, when: str) -> None:
    (job,) = play.jobs[when][name]

    assert (job.result, job.attempts) == ("succeeded", 1)


def test_a_job_that_ran_all_the_time_stayed_on_its_runner(play: Play) -> None:
    for name in ALL:
        (job,) = play.jobs["before"][name]
        assert job.runner in {runner for _, runner in play.before[name]}


def test_the_stop_leaves_nothing_and_no_rule_was_broken(play: Play) -> None:
    """Runs last."""
    play.outage.scaler.stop()

    assert play.outage.files.leftovers() == []
    for github in play.outage.githubs.values():
        assert github.final_violations() == ()
        assert all(one.deleted for one in github.state().scale_sets)
