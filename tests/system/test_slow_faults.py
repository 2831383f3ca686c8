"""Faults that take long, all at the same time, each on its own scale set of one daemon."""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as field_of
from typing import TYPE_CHECKING

import psutil
import pytest
from support.daemon import Daemon, wait_until
from support.embedded import EmbeddedDaemon, configured, make_fault

from runscaler.backends.process.process_table import mark_of
from runscaler.testing.simulator import FAST, JobState, Match, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runscaler.testing.simulator import JobView, RunnerView

TIMERS = replace(FAST, long_poll=1.0, session=10.0, agent_silence=60.0, registration=600.0)
LONGER_THAN_GRACE = "sleep 13"
"""A runner may be removed if GitHub has not reported for 10 s that its job runs."""
FALSE_REPORTS = {"F44": {"seconds": 20.0}, "F45": {}, "F46": {}}
"""Faults in the messages about a job, because of which a busy runner must not be killed."""
FOREIGN, IGNORED, KILLED, OLD = "foreign", "ignored", "killed", "old"
WARM, ABSENT = "warm", "absent"
ALL = (*FALSE_REPORTS, FOREIGN, IGNORED, KILLED, OLD, WARM, ABSENT)


@dataclass
class Setup:
    """The daemon, and the jobs that were queued first, by scale set."""

    embedded: EmbeddedDaemon
    jobs: dict[str, list[str]]
    false_reports: dict[str, int] = field_of(default_factory=dict)
    """Ids of the faults in messages, by name."""
    ignoring: int = 0
    """The id of the fault by which the runners of one scale set are offered no job."""
    absent: tuple[str, int] = ("", 0)
    """The runner that GitHub will not find once, and the id of that fault."""

    @property
    def github(self) -> SimulatedGitHub:
        return self.embedded.github

    def ended(self, name: str) -> tuple[JobView, ...]:
        return self.github.wait_for_jobs(self.jobs[name])

    def runners(self, holds: Callable[[RunnerView], bool]) -> Sequence[RunnerView]:
        return [one for one in self.github.state().runners if holds(one)]


@pytest.fixture(scope="module")
def setup(tmp_path_factory) -> Iterator[Setup]:
    """All faults have been injected, and every job that has to run does."""
    with SimulatedGitHub(timers=TIMERS) as github:
        sets = [
            configured(
                github, name, max_runners=3, min_runners=int(name in (WARM, ABSENT)), idle_timeout="2s"
            )
            for name in ALL
        ]
        files = Daemon(tmp_path_factory.mktemp("faults"), {"scaleset": sets})
        embedded = EmbeddedDaemon(github, files)
        embedded.inject(make_fault("F34", Match(scale_set=FOREIGN)))
        with embedded:
            made = Setup(embedded, {})
            inject_faults(made)
            yield made
        embedded.assert_nothing_is_left()


def warm(name: str) -> int:
    return 1 if name in (WARM, ABSENT) else 0


def inject_faults(setup: Setup) -> None:
    embedded, github, jobs = setup.embedded, setup.github, setup.jobs
    embedded.wait_for(FOREIGN, lambda status: status.state == "standby")
    faults = [make_fault(name, Match(scale_set=name), **FALSE_REPORTS[name]) for name in FALSE_REPORTS]
    setup.false_reports = dict(zip(FALSE_REPORTS, embedded.inject(*faults), strict=True))
    for name in (*FALSE_REPORTS, KILLED):
        step = LONGER_THAN_GRACE if name != KILLED else "sleep 100"
        jobs[name] = github.queue_jobs(name, 1, steps=[step])
    github.wait_for_jobs([job for ids in jobs.values() for job in ids], JobState.RUNNING)
    for name in (WARM, ABSENT):
        embedded.wait_for(name, lambda status: status.idle == 1)
    (slot,) = embedded.of(ABSENT).slots
    setup.absent = slot.runner, *embedded.inject(make_fault("F80", Match(runner=slot.runner)))
    (setup.ignoring,) = embedded.inject(make_fault("F83", Match(scale_set=IGNORED)))
    jobs[IGNORED] = github.queue_jobs(IGNORED, 1)
    jobs[FOREIGN] = github.queue_jobs(FOREIGN, 3)


def test_a_runner_that_dies_in_its_job_frees_its_slot_and_the_job_is_not_run_twice(setup: Setup) -> None:
    """F77."""
    (job,) = setup.github.wait_for_jobs(setup.jobs[KILLED], JobState.RUNNING)
    for process in psutil.process_iter():
        if has_mark_of(process, job.runner):
            process.kill()
    setup.embedded.wait_for(KILLED, lambda status: status.total == 0)
    (lost,) = setup.ended(KILLED)

    assert (lost.result != "succeeded", lost.attempts) == (True, 1)
    assert {one.result for one in setup.embedded.jobs(KILLED, 1)} == {"succeeded"}


def has_mark_of(process: psutil.Process, runner: str) -> bool:
    return mark_of(process).endswith(f"/{runner}")


def test_an_idle_runner_whose_registration_was_removed_by_hand_is_replaced(setup: Setup) -> None:
    """F78."""
    (slot,) = setup.embedded.of(WARM).slots
    wait_until(lambda: setup.runners(lambda one: one.name == slot.runner and one.polling), "its first poll")
    setup.embedded.inject(make_fault("F78", Match(runner=slot.runner)))

    def replaced(_: object) -> bool:
        return any(one.runner != slot.runner and one.state == "idle" for one in setup.embedded.of(WARM).slots)

    setup.embedded.wait_for(WARM, replaced)
    assert {one.result for one in setup.embedded.jobs(WARM, 1)} == {"succeeded"}


def test_assigned_jobs_that_no_runner_is_offered_leak_no_runner(setup: Setup) -> None:
    """F83."""
    embedded = setup.embedded
    embedded.wait_for(IGNORED, lambda status: status.idle == 1)
    assert embedded.of(IGNORED).counters.runners_started == 1
    setup.github.remove_fault(setup.ignoring)

    (job,) = setup.ended(IGNORED)
    assert (job.result, embedded.of(IGNORED).counters.runners_started) == ("succeeded", 1)


@pytest.mark.parametrize("fault", FALSE_REPORTS)
def test_a_busy_runner_is_not_killed_whatever_github_reports_about_its_job(setup: Setup, fault: str) -> None:
    (job,) = setup.ended(fault)
    setup.embedded.wait_for_hits([setup.false_reports[fault]])
    setup.embedded.wait_for(fault, lambda status: status.total == 0 and status.state == "ok")

    assert (job.result, job.attempts) == ("succeeded", 1)
    assert {one.result for one in setup.embedded.jobs(fault, 1)} == {"succeeded"}


def test_a_refused_version_degrades_its_set_alone_and_heals(setup: Setup) -> None:
    """F84."""
    embedded = setup.embedded
    refusing = embedded.inject(make_fault("F84"))
    ids = setup.github.queue_jobs(OLD, 1, steps=["true"])
    embedded.wait_for(OLD, lambda status: status.state == "degraded")
    reason = embedded.of(OLD).reason
    for each in refusing:
        setup.github.remove_fault(each)
    (job,) = setup.github.wait_for_jobs(ids)
    embedded.wait_for(OLD, lambda status: status.state == "ok")

    assert "version" in reason
    assert job.result == "succeeded"


def test_a_session_held_by_another_is_waited_for_and_taken_over(setup: Setup) -> None:
    """F34."""
    jobs = setup.ended(FOREIGN)
    setup.embedded.wait_for(FOREIGN, lambda status: status.state == "ok")

    assert {one.result for one in jobs} == {"succeeded"}


def test_a_runner_that_github_once_does_not_find_is_kept(setup: Setup) -> None:
    """F80."""
    runner, fault = setup.absent
    setup.embedded.wait_for_hits([fault])
    (job,) = setup.embedded.jobs(ABSENT, 1)

    assert (job.runner, job.result) == (runner, "succeeded")


def test_no_rule_was_broken_and_nothing_crashed(setup: Setup) -> None:
    assert setup.github.violations() == ()
    assert [setup.embedded.of(name).restarts for name in ALL] == [0] * len(ALL)
