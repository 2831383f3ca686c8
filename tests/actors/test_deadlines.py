"""Deadlines of the user's own, and doubts that must not last for ever (docs/behaviour.md § 6.2)."""

from __future__ import annotations

import pytest
from support.world import World

from runscaler.actors.scale_set.runners import ASK_AGAIN_SECONDS, ASK_AGAIN_UNHEARD_SECONDS
from runscaler.errors import JobStillRunning
from runscaler.policy.lifecycle import TERMINATE_SECONDS

STILL = JobStillRunning("a job still runs", status=400)


def test_a_job_that_takes_too_long_is_killed() -> None:
    world = World(max_runners=2, job_timeout=900)
    world.queue(1)
    world.play()
    world.advance(890)
    assert world.states() == ["busy"]

    world.advance(20)
    assert (world.working(), len(world.cut_down)) == ([], 1)
    assert list(world.backend.engine.terminated.values()) == [TERMINATE_SECONDS]


def test_a_job_that_was_killed_counts_as_ended_and_its_registration_is_not_forgotten(log_lines) -> None:
    world = World(max_runners=2, job_timeout=900)
    world.queue(1)
    world.play()
    world.advance(930)
    (runner,) = world.cut_down
    assert runner in noted(world)

    world.github.lease_over(world.github.runner_names[runner].id)
    world.advance(60)

    assert (world.status().counters.jobs_started, world.status().counters.jobs_completed) == (1, 1)
    assert [line for line in log_lines if "not one of ours" in line] == []
    assert runner not in noted(world)


def test_no_job_is_killed_without_a_job_timeout() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    world.advance(24 * 3600)
    assert (world.states(), world.cut_down) == (["busy"], [])


def test_the_time_of_a_job_that_was_taken_over_counts_anew() -> None:
    world = World(max_runners=2, job_timeout=900)
    world.queue(1)
    world.play()
    world.advance(600)
    world.kill()
    world.start()
    world.play()
    assert world.states() == ["busy"]

    world.advance(890)
    assert world.states() == ["busy"]
    world.advance(20)
    assert (world.working(), len(world.cut_down)) == ([], 1)
    assert list(world.backend.engine.terminated.values()) == [TERMINATE_SECONDS]


def test_an_idle_runner_that_github_calls_busy_without_a_word_of_its_job_is_asked_about_again() -> None:
    world = World(max_runners=2, idle_timeout=60)
    world.queue(2)
    world.play()
    world.github.fail_next("remove_runner", STILL, times=2)
    world.finish_all()
    runner = stray_idle_runner(world)

    world.advance(60 + 30)
    assert [(slot.runner, slot.state) for slot in world.status().slots] == [(runner, "busy")]

    world.advance(2 * ASK_AGAIN_UNHEARD_SECONDS + 60)
    assert world.states() == []


def noted(world: World) -> list[str]:
    return [str(one) for names in world.state_store.registrations.values() for one in names]


def stray_idle_runner(world: World) -> str:
    """One that is left over: its job was cancelled before it came."""
    (job,) = world.queue(1)
    world.agents_connect = False
    world.play()
    world.github.cancel(job)
    world.agents_connect = True
    world.play()
    (slot,) = world.status().slots
    return str(slot.runner)


@pytest.mark.parametrize("refusals", [0, 2])
def test_a_runner_that_hangs_after_its_job_goes_when_github_has_agreed(refusals: int) -> None:
    """Fault F85: its worker process still lives, its registration is gone."""
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    runner = world.working()[0]
    resource = world.running[runner]
    world.finish(runner, ends=False)
    world.backend.engine.jobs_running.add(resource.id)
    still = JobStillRunning("a job still runs", status=400)
    world.github.fail_next("remove_runner", still, times=refusals)
    world.play()

    world.advance(25 + refusals * ASK_AGAIN_SECONDS)

    assert world.resources() == []
