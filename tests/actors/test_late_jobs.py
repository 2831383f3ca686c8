"""A job that GitHub gave away in the moment in which it agreed to remove its runner (fault F82)."""

from __future__ import annotations

from support.world import World

from runscaler.github.messages import JobStarted, Statistics


def retiring_world() -> tuple[World, str]:
    """A world with one runner that GitHub has agreed to remove, and its name."""
    world = World(max_runners=2, idle_timeout=5.0)
    world.play()
    world.github.believe("linux", Statistics(assigned=1))
    world.github.say("linux", problems=("news",))
    world.play()
    world.github.believe("linux", None)
    world.github.say("linux", problems=("news",))
    world.advance(8)
    assert world.states() == ["retiring"]
    return world, world.status().slots[0].runner


def test_word_of_its_job_within_the_grace_saves_a_runner() -> None:
    world, runner = retiring_world()
    world.backend.engine.jobs_running.add(world.resources()[0].id)

    world.github.say("linux", JobStarted("late", runner_name=runner))
    world.advance(120)

    assert world.states() == ["busy"]
    assert [one.runner for one in world.resources()] == [runner]


def test_without_such_word_it_goes_when_the_grace_is_over() -> None:
    world, _ = retiring_world()

    world.advance(12)

    assert world.resources() == []


def test_word_that_comes_later_still_counts_and_is_about_one_of_ours(log_lines: list[str]) -> None:
    world, runner = retiring_world()
    world.advance(12)

    world.github.say("linux", JobStarted("late", runner_name=runner))
    world.play()

    assert world.status().counters.jobs_started == 1
    assert world.states() == []
    assert [line for line in log_lines if "not one of ours" in line] == []
