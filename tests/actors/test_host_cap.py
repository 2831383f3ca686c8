"""The host's cap over several scale sets (docs/behaviour.md § 6.4)."""

from __future__ import annotations

from support.world import World, scale_set

from runscaler.actors.scale_set import ScaleSetActor
from runscaler.status import Unmet


def two_sets(cap: int) -> World:
    sets = (scale_set("a", max_runners=10), scale_set("b", max_runners=10))
    world = World(scale_sets=sets, host_cap=cap)
    world.play()
    return world


def busy(world: World) -> tuple[int, int]:
    return world.status(0).busy, world.status(1).busy


def test_the_cap_holds_over_all_sets_and_the_rest_has_a_reason() -> None:
    world = two_sets(4)
    world.queue(10, "a")
    world.play()
    world.queue(10, "b")
    world.play()

    assert world.backend.engine.peak == 4
    assert sum(busy(world)) == 4
    assert {one.reason for one in world.status(1).unmet} == {Unmet.HOST_CAP}


def test_no_set_starves() -> None:
    """The first takes everything, the second still gets its half as places come free."""
    world = two_sets(4)
    world.queue(30, "a")
    world.play()
    assert busy(world) == (4, 0)

    world.queue(30, "b")
    world.play()
    for _ in range(4):
        world.finish(world.working()[0])
        world.play()
    assert busy(world) == (2, 2)

    for _ in range(20):
        world.finish(world.working()[0])
        world.play()
        assert sorted(busy(world)) in ([2, 2], [1, 3])
    assert world.backend.engine.peak == 4


def test_everything_is_done_in_the_end() -> None:
    world = two_sets(3)
    jobs = world.queue(12, "a") + world.queue(12, "b")
    for _ in range(12):
        world.play()
        world.finish_all()
    world.advance(5)
    assert {job.result for job in jobs} == {"succeeded"}
    assert (world.resources(), len(world.started), world.backend.engine.peak) == ([], 24, 3)


def test_one_that_is_not_wanted_any_more_gives_its_turn_to_the_next() -> None:
    world = two_sets(1)
    world.queue(1, "a")
    world.play()
    (job,) = world.queue(1, "b")
    world.play()
    assert world.states(1) == ["waiting"]

    world.github.cancel(job)
    world.queue(1, "a")
    world.play()
    assert world.states(1) == []
    world.finish_all()
    world.play()
    assert busy(world) == (1, 0)


def test_a_set_that_crashes_while_it_waits_waits_again() -> None:
    world = two_sets(1)
    world.queue(1, "a")
    world.play()
    world.queue(1, "b")
    world.play()
    world.crash(ScaleSetActor, 1)
    world.advance(3)
    assert world.states(1) == ["waiting"]
    world.finish_all()
    world.play()
    assert busy(world) == (0, 1)
