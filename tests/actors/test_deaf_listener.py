"""Runners get and finish jobs while all polls fail, so that no job message arrives."""

from __future__ import annotations

from support.world import World

from runscaler.errors import ServerError


def test_a_runner_that_ends_with_zero_is_a_failure_by_its_registration_also_while_all_polls_fail() -> None:
    world = World(max_runners=1)
    world.agents_connect = False
    world.queue(1)
    world.play()
    world.github.fail_next("poll", ServerError("503", status=503), times=10_000)
    world.advance(5)
    (slot,) = world.status().slots
    world.end(slot.runner, 0)
    world.play()
    world.advance(2)
    assert world.status().counters.runners_failed == 0

    world.advance(2)
    assert world.status().counters.runners_failed == 1


def test_a_runner_that_ends_with_zero_is_a_failure_once_polls_work_and_tell_of_no_job() -> None:
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

    assert world.status().counters.runners_failed == 1


def test_polling_goes_on_while_a_batch_cannot_be_acknowledged() -> None:
    world = World(max_runners=3)
    world.play()
    world.github.fail_next("acknowledge", ServerError("502"), times=1000)
    world.queue(1)
    world.play()
    world.queue(2)
    world.advance(10)
    assert world.states() == ["busy"] * 3
