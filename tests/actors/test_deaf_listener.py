"""Runners do their jobs while nobody can hear of it: polls fail, GitHub's other half works."""

from __future__ import annotations

from support.world import World

from runscaler.errors import ServerError


def test_a_runner_that_ends_with_zero_while_no_poll_gets_through_is_no_failure() -> None:
    world = World(max_runners=1)
    world.agents_connect = False
    world.queue(1)
    world.play()
    world.github.fail_next("poll", ServerError("503", status=503), times=10_000)
    world.advance(5)
    (slot,) = world.status().slots
    world.end(slot.runner, 0)
    world.play()
    world.advance(60)

    assert world.status().runners_failed == 0


def test_it_is_one_once_github_is_back_and_has_no_word_of_its_job() -> None:
    world = World(max_runners=1)
    world.agents_connect = False
    world.queue(1)
    world.play()
    world.github.fail_next("poll", ServerError("503", status=503), times=3)
    world.advance(2)
    (slot,) = world.status().slots
    world.end(slot.runner, 0)
    world.play()
    world.advance(60)

    assert world.status().runners_failed == 1
