"""A new process takes over what the last one left (docs/behaviour.md § 8.2)."""

from __future__ import annotations

from dataclasses import replace

from support.world import World

from runscaler import events
from runscaler.status import SetState


def restarted(world: World) -> World:
    world.kill()
    world.start()
    world.play()
    return world


def test_a_running_job_goes_on_and_its_runner_is_removed_when_it_is_done() -> None:
    world = World(max_runners=3)
    world.queue(2)
    world.play()
    working = set(world.working())

    restarted(world)
    assert {slot.runner for slot in world.status().slots} == working
    assert len([one for one in world.events if isinstance(one, events.RunnerAdopted)]) == 2

    world.finish_all()
    world.advance(15)
    assert (world.resources(), world.states(), world.cut_down) == ([], [], [])
    assert set(world.started) == working


def test_idle_ones_go_on_serving() -> None:
    world = World(max_runners=3, min_runners=2)
    world.play()
    before = set(world.started)

    restarted(world)
    world.queue(2)
    world.play()
    assert set(world.working()) == before


def test_what_ended_meanwhile_is_removed_and_deregistered() -> None:
    world = World(max_runners=3, min_runners=2)
    world.play()
    world.kill()
    for runner in list(world.running):
        world.end(runner, 1)
    ended = set(world.started)
    world.start()
    world.advance(10)

    assert {one.name for one in world.github.runners.values()} == set(world.running)
    assert not ended & {one.runner for one in world.resources()}
    assert world.states() == ["idle", "idle"]


def test_our_own_session_is_closed_first() -> None:
    world = World(max_runners=1)
    world.play()
    first = world.github.scale_set("linux").session  # type: ignore[union-attr]

    restarted(world)
    assert world.status().state is SetState.OK
    assert world.github.scale_set("linux").session not in (None, first)  # type: ignore[union-attr]


def test_nothing_starts_before_what_runs_is_known() -> None:
    world = World(max_runners=2)
    world.queue(2)
    world.play()
    world.kill()
    world.backend.engine.down("away")
    world.start()
    world.advance(120)
    assert len(world.started) == 2

    world.backend.engine.up()
    world.play()
    assert sorted(world.working()) == sorted(slot.runner for slot in world.status().slots)
    assert world.backend.engine.peak == 2


def test_what_is_beyond_max_lives_on_as_surplus_and_is_not_replaced() -> None:
    world = World(max_runners=3)
    world.queue(3)
    world.play()
    (settings,) = world.config.scale_sets
    world.config = world.config.model_copy(
        update={"scale_sets": (settings.model_copy(update={"max_runners": 1}),)}
    )
    restarted(world)
    assert (world.status().total, world.cut_down) == (3, [])

    world.queue(4)
    for left in (2, 1):
        world.finish(world.working()[0])
        world.play()
        assert len(world.working()) == left
    assert len(world.started) == 3

    world.finish(world.working()[0])
    world.play()
    assert len(world.working()) == 1
    assert [slot.slot for slot in world.status().slots] == [0]


def test_a_list_that_was_made_before_a_runner_went_brings_nobody_back() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    world.clock.advance(30)
    world.deliver()
    (listed,) = world.resources()
    world.finish_all()
    world.play()
    adopted = [one for one in world.events if isinstance(one, events.RunnerAdopted)]
    assert (world.states(), adopted) == ([], [])
    assert listed.id not in {one.id for one in world.resources()}


def test_many_restarts_in_a_row_lose_and_double_nothing() -> None:
    world = World(max_runners=3)
    jobs = world.queue(6)
    for round_ in range(12):
        world.play()
        if round_ % 2:
            world.finish_all()
        restarted(world)
    world.finish_all()
    world.advance(30)

    assert {job.result for job in jobs} == {"succeeded"}
    assert (len(world.started), world.backend.engine.peak, world.cut_down) == (6, 3, [])


def test_an_adopted_runner_with_a_job_inside_is_busy_at_once() -> None:
    world = World(max_runners=3, min_runners=1)
    world.queue(1)
    world.play()
    world.kill()
    world.start()
    world.play()

    assert sorted(world.states()) == ["adopted", "busy"]


def test_an_idle_runner_found_ended_is_replaced_at_once_beside_an_adopted_busy_one() -> None:
    world = World(max_runners=3, min_runners=2)
    world.queue(1)
    world.play()
    idle = next(slot.runner for slot in world.status().slots if slot.state == "idle")
    world.backend.engine.jobs_running.clear()  # the backend cannot tell who works
    world.kill()
    world.end(idle, 0)
    world.start()
    world.play()

    assert world.status().desired_runners == 3
    assert len(world.states()) == 3


def test_an_adopted_runner_without_a_known_id_is_asked_about_by_name() -> None:
    world = World(max_runners=1, idle_timeout=5.0)
    world.queue(1)
    world.play()
    engine = world.backend.engine
    (resource,) = world.resources()
    engine._resources[resource.id] = replace(resource, runner_id=0)
    engine.jobs_running.clear()  # cannot tell
    world.kill()
    world.start()
    world.play()
    world.github.believe("linux", None)
    world.advance(60)
    world.shut_down()
    world.advance(30)
    assert world.cut_down == []


def test_an_idle_adopted_runner_without_a_known_id_is_deregistered() -> None:
    world = World(max_runners=1, idle_timeout=5.0, min_runners=1)
    world.play()
    engine = world.backend.engine
    (resource,) = world.resources()
    engine._resources[resource.id] = replace(resource, runner_id=0)
    world.kill()
    world.start()
    world.play()
    world.shut_down()
    world.advance(60)
    assert world.resources() == []
    assert not world.github.runners
