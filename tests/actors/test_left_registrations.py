"""Registrations whose resource is not there are known to the next process (docs/behaviour.md § 5.3, 8.2)."""

from __future__ import annotations

from support.world import World

from runscaler.actors.scale_set import ScaleSetActor
from runscaler.errors import JobStillRunning, Unreachable


def noted(world: World) -> list[str]:
    return sorted(str(one) for names in world.state_store.registrations.values() for one in names)


def at_github(world: World) -> list[str]:
    return sorted(one.name for one in world.github.runners.values())


def killed_between_registering_and_creating() -> World:
    """Its runner is registered; the process dies before there is a resource."""
    world = World(max_runners=2)
    world.play()

    def die(_: object) -> None:
        world.kill()
        raise RuntimeError("the process is no more")

    world.backend.on_start = die
    world.queue(1)
    world.play()
    world.backend.on_start = world._agent_starts
    return world


def test_a_registration_without_a_resource_is_removed_by_the_next_process() -> None:
    world = killed_between_registering_and_creating()
    (left,) = at_github(world)
    assert noted(world) == [left]

    world.start()
    world.play()

    assert left not in at_github(world) + noted(world)
    assert world.states() == ["busy"]


def test_a_restarted_scale_set_knows_of_it_too() -> None:
    world = World(max_runners=1)
    world.play()
    world.github.fail_next("find_runner", Unreachable("no route"), times=3)
    world.github.fail_next("jit_config", Unreachable("no reply"), after=True)
    world.queue(1)
    world.play()
    (left, *_) = [one for one in noted(world) if one not in world.started]

    world.crash(ScaleSetActor)
    world.advance(100)
    assert left not in at_github(world) + noted(world)


def test_what_is_owed_at_the_end_is_paid_by_the_next_process() -> None:
    world = World(max_runners=1, min_runners=1)
    world.play()
    world.github.fail_next("remove_runner", JobStillRunning("it has a job"), times=2)
    world.backend.end(world.resources()[0].id, 1)
    world.play()
    world.kill()
    (left,) = world.started
    assert left in at_github(world)

    world.start()
    world.advance(60)
    assert left not in at_github(world) + noted(world)


def test_a_runner_that_was_cut_down_at_the_end_is_deregistered_by_the_next_process() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    world.shut_down()
    world.advance(world.config.drain_timeout + 1)
    (left,) = world.cut_down
    assert left in noted(world)

    world.github.lease_over(world.github.runner_names[left].id)
    world.start()
    world.advance(60)
    assert left not in at_github(world) + noted(world)


def test_a_runner_that_runs_is_not_taken_for_left() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    world.kill()
    world.start()
    world.play()

    assert (world.states(), noted(world), world.cut_down) == (["busy"], world.started, [])


def test_a_runner_that_vanished_while_no_daemon_looked_is_deregistered_by_the_next() -> None:
    world = World(max_runners=1, min_runners=1)
    world.play()
    (left,) = world.started
    world.kill()
    world.vanish(left)
    world.start()
    world.play()

    assert left not in at_github(world)
    assert noted(world) == at_github(world) == world.started[1:]


def test_those_are_noted_that_live() -> None:
    world = World(max_runners=3)
    world.queue(3)
    world.play()
    assert noted(world) == sorted(world.started)
    world.finish_all()
    world.advance(20)
    assert noted(world) == []
