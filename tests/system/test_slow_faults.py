"""Faults that take their time, each on a scale set of its own of one daemon, all at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as field_of
from typing import TYPE_CHECKING

import psutil
import pytest
from support.daemon import Daemon, wait_until
from support.embedded import EmbeddedDaemon, configured, make_fault

from runscaler.backends.process.census import mark_of
from runscaler.testing.simulator import FAST, JobState, Match, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runscaler.testing.simulator import JobView, RunnerView

TIMERS = replace(FAST, long_poll=1.0, session=10.0, agent_silence=60.0, registration=600.0)
LONGER_THAN_DOUBT = "sleep 13"
"""After 10 s without a word of GitHub's that a job runs, a runner that should be done may be removed."""
LIED_ABOUT = {"F44": {"seconds": 20.0}, "F45": {}, "F46": {}}
"""Faults of what is said about a job, by which a working runner must not be killed."""
FOREIGN, IGNORED, KILLED, OLD = "foreign", "ignored", "killed", "old"
WARM, ABSENT = "warm", "absent"
ALL = (*LIED_ABOUT, FOREIGN, IGNORED, KILLED, OLD, WARM, ABSENT)


@dataclass
class Field:
    """The embedded and the jobs that were queued first, by scale set."""

    embedded: EmbeddedDaemon
    jobs: dict[str, list[str]]
    lies: dict[str, int] = field_of(default_factory=dict)
    """The faults of what is said, by name."""
    ignoring: int = 0
    """The fault by which one set's runners are offered nothing."""
    absent: tuple[str, int] = ("", 0)
    """The runner whom GitHub will once not find, and that fault."""

    @property
    def github(self) -> SimulatedGitHub:
        return self.embedded.github

    def ended(self, name: str) -> tuple[JobView, ...]:
        return self.github.wait_for_jobs(self.jobs[name])

    def runners(self, holds: Callable[[RunnerView], bool]) -> Sequence[RunnerView]:
        return [one for one in self.github.state().runners if holds(one)]


@pytest.fixture(scope="module")
def field(tmp_path_factory) -> Iterator[Field]:
    """Everything is struck, and every job that has to be at work is so."""
    with SimulatedGitHub(timers=TIMERS) as github:
        sets = [
            configured(
                github, name, max_runners=3, min_runners=int(name in (WARM, ABSENT)), idle_timeout="2s"
            )
            for name in ALL
        ]
        files = Daemon(tmp_path_factory.mktemp("field"), {"scaleset": sets})
        embedded = EmbeddedDaemon(github, files)
        embedded.inject(make_fault("F34", Match(scale_set=FOREIGN)))
        with embedded:
            made = Field(embedded, {})
            struck(made)
            yield made
        embedded.assert_nothing_is_left()


def warm(name: str) -> int:
    return 1 if name in (WARM, ABSENT) else 0


def struck(field: Field) -> None:
    embedded, github, jobs = field.embedded, field.github, field.jobs
    embedded.wait_for(FOREIGN, lambda status: status.state == "standby")
    lies = [make_fault(name, Match(scale_set=name), **LIED_ABOUT[name]) for name in LIED_ABOUT]
    field.lies = dict(zip(LIED_ABOUT, embedded.inject(*lies), strict=True))
    for name in (*LIED_ABOUT, KILLED):
        step = LONGER_THAN_DOUBT if name != KILLED else "sleep 100"
        jobs[name] = github.queue_jobs(name, 1, steps=[step])
    github.wait_for_jobs([job for ids in jobs.values() for job in ids], JobState.RUNNING)
    for name in (WARM, ABSENT):
        embedded.wait_for(name, lambda status: status.idle == 1)
    (slot,) = embedded.of(ABSENT).slots
    field.absent = slot.runner, *embedded.inject(make_fault("F80", Match(runner=slot.runner)))
    (field.ignoring,) = embedded.inject(make_fault("F83", Match(scale_set=IGNORED)))
    jobs[IGNORED] = github.queue_jobs(IGNORED, 1)
    jobs[FOREIGN] = github.queue_jobs(FOREIGN, 3)


def test_a_runner_that_dies_in_its_job_frees_its_slot_and_the_job_is_not_run_twice(field: Field) -> None:
    """F77."""
    (job,) = field.github.wait_for_jobs(field.jobs[KILLED], JobState.RUNNING)
    for process in psutil.process_iter():
        if marked(process, job.runner):
            process.kill()
    field.embedded.wait_for(KILLED, lambda status: status.total == 0)
    (lost,) = field.ended(KILLED)

    assert (lost.result != "succeeded", lost.attempts) == (True, 1)
    assert {one.result for one in field.embedded.jobs(KILLED, 1)} == {"succeeded"}


def marked(process: psutil.Process, runner: str) -> bool:
    return mark_of(process).endswith(f"/{runner}")


def test_an_idle_runner_whose_registration_was_removed_by_hand_is_replaced(field: Field) -> None:
    """F78."""
    (slot,) = field.embedded.of(WARM).slots
    wait_until(lambda: field.runners(lambda one: one.name == slot.runner and one.polling), "its first poll")
    field.embedded.inject(make_fault("F78", Match(runner=slot.runner)))

    def replaced(_: object) -> bool:
        return any(one.runner != slot.runner and one.state == "idle" for one in field.embedded.of(WARM).slots)

    field.embedded.wait_for(WARM, replaced)
    assert {one.result for one in field.embedded.jobs(WARM, 1)} == {"succeeded"}


def test_assigned_jobs_that_no_runner_is_offered_leak_no_runner(field: Field) -> None:
    """F83."""
    embedded = field.embedded
    embedded.wait_for(IGNORED, lambda status: status.idle == 1)
    assert embedded.of(IGNORED).counters.runners_started == 1
    field.github.remove_fault(field.ignoring)

    (job,) = field.ended(IGNORED)
    assert (job.result, embedded.of(IGNORED).counters.runners_started) == ("succeeded", 1)


@pytest.mark.parametrize("fault", LIED_ABOUT)
def test_a_busy_runner_is_not_killed_whatever_github_reports_about_its_job(field: Field, fault: str) -> None:
    (job,) = field.ended(fault)
    field.embedded.wait_for_hits([field.lies[fault]])
    field.embedded.wait_for(fault, lambda status: status.total == 0 and status.state == "ok")

    assert (job.result, job.attempts) == ("succeeded", 1)
    assert {one.result for one in field.embedded.jobs(fault, 1)} == {"succeeded"}


def test_a_refused_version_degrades_its_set_alone_and_heals(field: Field) -> None:
    """F84."""
    embedded = field.embedded
    refusing = embedded.inject(make_fault("F84"))
    ids = field.github.queue_jobs(OLD, 1, steps=["true"])
    embedded.wait_for(OLD, lambda status: status.state == "degraded")
    reason = embedded.of(OLD).reason
    for each in refusing:
        field.github.remove_fault(each)
    (job,) = field.github.wait_for_jobs(ids)
    embedded.wait_for(OLD, lambda status: status.state == "ok")

    assert "version" in reason
    assert job.result == "succeeded"


def test_a_session_held_by_another_is_waited_for_and_taken_over(field: Field) -> None:
    """F34."""
    jobs = field.ended(FOREIGN)
    field.embedded.wait_for(FOREIGN, lambda status: status.state == "ok")

    assert {one.result for one in jobs} == {"succeeded"}


def test_a_runner_that_github_once_does_not_find_is_kept(field: Field) -> None:
    """F80."""
    runner, fault = field.absent
    field.embedded.wait_for_hits([fault])
    (job,) = field.embedded.jobs(ABSENT, 1)

    assert (job.runner, job.result) == (runner, "succeeded")


def test_no_rule_was_broken_and_nothing_crashed(field: Field) -> None:
    assert field.github.violations() == ()
    assert [field.embedded.of(name).restarts for name in ALL] == [0] * len(ALL)
