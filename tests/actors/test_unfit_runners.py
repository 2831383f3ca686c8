"""Runners on which a job would fail, as the backend knows (docs/behaviour.md § 6.5a)."""

from __future__ import annotations

from support.world import World

WHY = "its socket is dead"


def replacements(log_lines: list[str]) -> list[str]:
    return [line for line in log_lines if "replacing idle runners" in line]


def spoil_all(world: World) -> set[str]:
    """Returns their names."""
    for resource in world.resources():
        world.backend.engine.spoil(resource.id, WHY)
    return {resource.runner for resource in world.resources()}


def test_idle_ones_are_replaced_before_they_get_a_job_and_that_is_said_once(log_lines) -> None:
    world = World(max_runners=4, min_runners=2)
    world.play()
    unfit = spoil_all(world)

    world.backend.engine.down("away")
    world.backend.engine.up()
    world.play()
    assert world.states() == ["retiring", "retiring"]
    world.advance(15)

    assert world.states() == ["idle", "idle"]
    assert {resource.runner for resource in world.resources()}.isdisjoint(unfit)
    world.advance(60)
    (said,) = replacements(log_lines)
    assert f"(2): {WHY}" in said
    assert world.cut_down == []


def test_a_busy_one_goes_on(log_lines) -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    spoil_all(world)

    world.advance(60)

    assert world.states() == ["busy"]
    assert replacements(log_lines) == []
    world.finish_all()
    world.advance(15)
    assert (world.resources(), world.cut_down) == ([], [])


def test_one_that_was_taken_over_is_replaced_too() -> None:
    world = World(max_runners=2, min_runners=1)
    world.play()
    world.kill()
    unfit = spoil_all(world)

    world.start()
    world.play()
    world.advance(15)

    assert world.states() == ["idle"]
    assert {resource.runner for resource in world.resources()}.isdisjoint(unfit)


# -- outdated ones, on which jobs still run ------------------------------------------------------------

NEWER = "demo:1 names another image than theirs now"


def outdate_all(world: World) -> set[str]:
    """Returns their names."""
    for resource in world.resources():
        world.backend.engine.outdate(resource.id, NEWER)
    return {resource.runner for resource in world.resources()}


def test_outdated_ones_are_replaced_a_quarter_at_a_time_so_that_most_can_serve(log_lines) -> None:
    world = World(max_runners=8, min_runners=8)
    world.play()
    outdated = outdate_all(world)

    fewest = 8
    for _ in range(300):
        world.advance(1)
        fewest = min(fewest, world.states().count("idle"))

    assert fewest == 6
    assert world.states() == ["idle"] * 8
    assert {resource.runner for resource in world.resources()}.isdisjoint(outdated)
    assert [f"(2): {NEWER}" in line for line in replacements(log_lines)] == [True] * 4
    assert world.cut_down == []


def test_the_only_one_is_replaced_too() -> None:
    world = World(max_runners=2, min_runners=1)
    world.play()
    outdated = outdate_all(world)

    world.advance(60)

    assert world.states() == ["idle"]
    assert {resource.runner for resource in world.resources()}.isdisjoint(outdated)


def test_a_busy_one_that_is_outdated_ends_its_job() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    outdate_all(world)

    world.advance(120)

    assert world.states() == ["busy"]


def test_one_that_is_outdated_and_unfit_does_not_wait_for_its_turn() -> None:
    world = World(max_runners=4, min_runners=4)
    world.play()
    outdate_all(world)
    spoil_all(world)

    world.backend.engine.down("away")
    world.backend.engine.up()
    world.play()

    assert world.states() == ["retiring"] * 4
