"""The host's cap over several scale sets (docs/behaviour.md § 6.4)."""

from __future__ import annotations

from support.world import World, scale_set

from runscaler.actors.host import HostActor
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.status import Unmet


def two_sets(cap: int) -> World:
    sets = (scale_set("a", max_runners=10), scale_set("b", max_runners=10))
    world = World(scale_sets=sets, host_cap=cap)
    world.play()
    return world


def busy(world: World) -> tuple[int, int]:
    return world.status(0).busy, world.status(1).busy


def test_the_cap_holds_over_all_sets_and_is_the_reason_for_what_is_unmet() -> None:
    world = two_sets(4)
    world.queue(10, "a")
    world.play()
    world.queue(10, "b")
    world.play()

    assert world.backend.engine.peak == 4
    assert sum(busy(world)) == 4
    assert {one.reason for one in world.status(1).unmet} == {Unmet.HOST_CAP}


def test_no_scale_set_starves() -> None:
    """The first takes all capacity; the second still gets its half as runners end."""
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


def test_all_jobs_are_done_in_the_end() -> None:
    world = two_sets(3)
    jobs = world.queue(12, "a") + world.queue(12, "b")
    for _ in range(12):
        world.play()
        world.finish_all()
    world.advance(5)
    assert {job.result for job in jobs} == {"succeeded"}
    assert (world.resources(), len(world.started), world.backend.engine.peak) == ([], 24, 3)


def test_a_cancelled_job_gives_its_turn_to_the_next() -> None:
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


def test_a_scale_set_that_crashes_while_it_waits_goes_on_waiting() -> None:
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


def two(**settings: object) -> tuple:
    return (scale_set("a", **settings), scale_set("b", **settings))


def test_a_restarted_host_actor_keeps_the_cap() -> None:
    world = World(scale_sets=two(max_runners=3), host_cap=2)
    world.queue(1, "b")
    world.play()
    world.queue(1, "a")
    world.play()
    world.queue(3, "a")
    world.play()
    assert world.backend.engine.peak == 2
    world.crash(HostActor)
    world.advance(5)
    assert world.backend.engine.peak == 2


def test_a_restarted_process_keeps_the_cap() -> None:
    world = World(scale_sets=two(max_runners=3), host_cap=2)
    world.queue(2, "b")
    world.play()
    world.queue(3, "a")
    world.play()
    assert world.backend.engine.peak == 2
    world.kill()
    world.start()
    world.play()
    world.advance(5)
    assert world.backend.engine.peak == 2


def test_a_restarted_scale_set_actor_keeps_its_capacity() -> None:
    world = World(scale_sets=two(max_runners=3), host_cap=2)
    world.queue(2, "b")
    world.play()
    world.queue(3, "a")
    world.play()
    world.crash(ScaleSetActor, 1)
    world.advance(5)
    assert world.backend.engine.peak == 2
