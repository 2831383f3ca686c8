"""Messages that never come and offers that are lost, against the whole program as a process of its own.

What a message alone would have told is found out in another way (docs/behaviour.md § 6.5).

What takes minutes is in `test_doubt_and_proof_in_fast_time.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from loguru import logger
from support.daemon import all_ok, of

from runscaler.testing.simulator import FAST, Flavour, JobState, Match, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.daemon import Daemon, Json

    from runscaler.testing.simulator import JobView

    Program = Callable[..., Daemon]

TIMERS = replace(FAST, session=60.0, agent_silence=60.0, registration=600.0, lease=20.0, pick_up=60.0)
NAME = "linux"


@pytest.fixture
def github(request: pytest.FixtureRequest) -> Iterator[SimulatedGitHub]:
    """Its flavour is the parameter, if there is one."""
    flavour = getattr(request, "param", Flavour.ASSIGN)
    with SimulatedGitHub(Options(timers=TIMERS, flavour=flavour)) as simulated:
        yield simulated


@pytest.fixture
def program(daemon: Callable[..., Daemon], scale_set: Callable[..., Json]) -> Program:
    """`program("linux", max_runners=3)`: a daemon that is ok, with scale sets of these names and keys."""

    def make(*names: str, **keys: Any) -> Daemon:
        made = daemon({"scaleset": [scale_set(name, backend="process", **keys) for name in names]})
        made.start()
        made.wait_for(all_ok)
        return made

    return make


def seconds_taken(jobs: tuple[JobView, ...]) -> float:
    return max(one.finished_at for one in jobs) - min(one.queued_at for one in jobs)


def assert_succeeded(jobs: tuple[JobView, ...]) -> None:
    assert {(one.result, one.attempts) for one in jobs} == {("succeeded", 1)}


def warnings(program: Daemon) -> list[str]:
    return [line for line in program.log.splitlines() if " WARN" in line or " ERROR" in line]


def assert_ends_well(github: SimulatedGitHub, program: Daemon) -> None:
    """It is ok, without a runner and a failure, or soon will be, and leaves nothing behind."""
    health = program.wait_for(
        lambda health: all_ok(health) and not any(one["total"] for one in health["scale_sets"])
    )
    assert [one["runners_failed"] for one in health["scale_sets"]] == [0] * len(health["scale_sets"])
    assert (program.stop(), program.errors, program.leftovers()) == (0, "", [])
    assert github.final_violations() == ()


@pytest.mark.timeout(240)
def test_jobs_whose_messages_are_all_lost_run_without_a_pause_and_count_as_no_failure(
    github: SimulatedGitHub, program: Program
) -> None:
    """F87, and beside it a scale set whose messages come."""
    daemon = program("untold", "told", max_runners=3)
    lost = github.inject("F87", count=None, match=Match(scale_set="untold"), lost=True)
    ids = {name: github.queue_jobs(name, 30, steps=["sleep 2"]) for name in ("untold", "told")}
    done = {name: github.wait_for_jobs(ids[name], timeout=120.0) for name in ids}
    untold, told = (seconds_taken(done[name]) for name in ids)
    logger.info("untold {:.1f} s, told {:.1f} s: {:.2f} times as long", untold, told, untold / told)
    health = daemon.wait_for(all_ok)

    for name in ids:
        assert_succeeded(done[name])
    assert github.hits(lost) == 30
    assert [of(health, name)["runners_failed"] for name in ids] == [0, 0]
    assert warnings(daemon) == []
    assert (daemon.stop(), daemon.errors, daemon.leftovers()) == (0, "", [])
    assert github.final_violations() == ()


@pytest.mark.parametrize("github", [Flavour.ACQUIRE], indirect=True)
def test_jobs_whose_offer_could_not_be_read_are_asked_for_and_run(
    github: SimulatedGitHub, program: Program
) -> None:
    """F89: what is unreadable as a whole is acknowledged, and would never be offered again."""
    daemon = program(NAME, max_runners=3)
    broken = github.inject("F51", kind="text")
    ids = github.queue_jobs(NAME, 3, steps=["true"])
    jobs = github.wait_for_jobs(ids)

    assert github.hits(broken) == 1
    assert_succeeded(jobs)
    assert_ends_well(github, daemon)


@pytest.mark.parametrize("github", [Flavour.ACQUIRE], indirect=True)
def test_jobs_whose_offer_never_comes_are_asked_for_and_run(
    github: SimulatedGitHub, program: Program
) -> None:
    """F89: the next message counts them, and offers another job only."""
    daemon = program(NAME, max_runners=3)
    lost = github.inject("F89", count=2)
    jobs = github.wait_for_jobs(github.queue_jobs(NAME, 3, steps=["true"]))

    assert github.hits(lost) == 2
    assert_succeeded(jobs)
    assert_ends_well(github, daemon)
    assert warnings(daemon) == []


@pytest.mark.parametrize("github", [Flavour.ASSIGN, Flavour.ACQUIRE], indirect=True)
def test_jobs_run_though_every_informative_field_is_of_another_type(
    github: SimulatedGitHub, program: Program
) -> None:
    """F90: each message is used, so that nothing is to be said of it."""
    daemon = program(NAME, max_runners=3)
    odd = github.inject("F90", count=None)
    jobs = github.wait_for_jobs(github.queue_jobs(NAME, 3, steps=["true"]))
    daemon.wait_for(lambda health: of(health, NAME)["metrics"]["jobs_completed"] == 3)

    assert github.hits(odd) > 0
    assert_succeeded(jobs)
    assert_ends_well(github, daemon)
    assert warnings(daemon) == []


def test_jobs_bound_to_killed_runners_are_no_demand_and_new_ones_run(
    github: SimulatedGitHub, program: Program
) -> None:
    """F97: until the leases end, GitHub counts these jobs as running."""
    daemon = program(NAME, max_runners=6)
    lost = github.wait_for_jobs(github.queue_jobs(NAME, 3, steps=["sleep 100"]), JobState.RUNNING)
    daemon.wait_for(lambda health: of(health, NAME)["busy"] == 3)
    for job in lost:
        daemon.kill_runner(job.runner)
    daemon.wait_for(lambda health: of(health, NAME)["total"] == 0)
    jobs = github.wait_for_jobs(github.queue_jobs(NAME, 2, steps=["true"]))
    while_bound = github.state()
    over = github.wait_for_jobs([job.id for job in lost])

    assert_succeeded(jobs)
    assert len(while_bound.jobs_in(JobState.RUNNING)) == 3
    assert [(job.result, job.attempts) for job in over] == [("failed", 1)] * 3
    assert_ends_well(github, daemon)
    assert len(github.state().runners) == 5


def test_the_ends_of_idle_runners_whose_scale_set_was_deleted_are_no_failures(
    github: SimulatedGitHub, program: Program
) -> None:
    """F98."""
    daemon = program(NAME, min_runners=6, max_runners=6)
    github.wait_until(lambda state: sum(one.polling for one in state.runners) == 6)
    before = {one.name for one in github.state().runners}
    github.inject("F98")

    def all_new(health: Json) -> bool:
        found = of(health, NAME)
        return found["idle"] == 6 and all(slot["runner"] not in before for slot in found["slots"])

    daemon.wait_for(lambda health: all_new(health) and all_ok(health))
    jobs = github.wait_for_jobs(github.queue_jobs(NAME, 6, steps=["true"]))

    assert_succeeded(jobs)
    assert not [line for line in daemon.log.splitlines() if "degraded" in line or "next try" in line]
    assert len([one for one in github.state().scale_sets if not one.deleted]) == 1
    assert (daemon.stop(), daemon.errors, daemon.leftovers()) == (0, "", [])
    assert github.final_violations() == ()
