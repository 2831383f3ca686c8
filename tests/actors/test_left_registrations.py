"""Registrations without a resource are known to the next process (docs/behaviour.md § 5.3, 8.2)."""

from __future__ import annotations

from typing import Any

from support.world import World

from runscaler.actors.runner import RunnerActor
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.errors import JobStillRunning, ServerError, Unreachable


def noted(world: World) -> list[str]:
    return sorted(str(one) for names in world.state_store.registrations.values() for one in names)


def at_github(world: World) -> list[str]:
    return sorted(one.name for one in world.github.runners.values())


def killed_between_registering_and_creating() -> World:
    """The process dies after a runner was registered and before its resource was created."""
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


def test_a_registration_without_a_resource_is_removed_by_a_restarted_scale_set() -> None:
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


def test_the_registration_of_a_start_that_was_lost_with_its_actor_is_removed() -> None:
    world = World(max_runners=1)
    world.play()
    lost: list[str] = []
    start = world.backend.start

    def register_and_die(order: Any, interrupt: Any) -> None:
        world.backend.start = start  # type: ignore[method-assign]
        order.jit()
        lost.append(order.runner)
        raise RuntimeError("before its resource was made")

    world.backend.start = register_and_die  # type: ignore[method-assign,assignment]
    world.queue(1)
    world.play()
    assert at_github(world) == lost

    world.advance(5)
    assert world.states() == ["busy"]
    assert not {*lost} & {*at_github(world), *noted(world)}


def test_a_pending_deregistration_is_finished_by_the_next_process() -> None:
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


def test_a_busy_runner_removed_by_a_stop_is_deregistered_by_the_next_process() -> None:
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


def test_a_registration_whose_runner_still_runs_is_kept() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    world.kill()
    world.start()
    world.play()

    assert (world.states(), noted(world), world.cut_down) == (["busy"], world.started, [])


def test_a_runner_that_vanished_between_two_processes_is_deregistered_by_the_next() -> None:
    world = World(max_runners=1, min_runners=1)
    world.play()
    (left,) = world.started
    world.kill()
    world.vanish(left)
    world.start()
    world.play()

    assert left not in at_github(world)
    assert noted(world) == at_github(world) == world.started[1:]


def test_exactly_the_registrations_of_existing_runners_are_noted() -> None:
    world = World(max_runners=3)
    world.queue(3)
    world.play()
    assert noted(world) == sorted(world.started)
    world.finish_all()
    world.advance(20)
    assert noted(world) == []


def test_a_pending_deregistration_is_finished_by_a_restarted_runner_actor() -> None:
    world = World(max_runners=1, min_runners=0)
    world.agents_connect = False
    world.queue(1)
    world.github.fail_next("remove_runner", ServerError("502"), times=1)
    world.play()
    name = world.status().slots[0].runner
    world.end(name, 1)
    world.play()
    world.crash(RunnerActor)
    world.agents_connect = True
    world.advance(60)
    world.finish_all()
    world.advance(60)
    assert name not in [one.name for one in world.github.runners.values()]
