"""`runner drain` and `runner resume` (docs/behaviour.md § 9.4)."""

from __future__ import annotations

from support.world import ScaleSetActor, World

from runscaler.actors.listener import ListenerActor
from runscaler.actors.messages import SetDrain
from runscaler.status import SetState


def set_drain(world: World, *, drain: bool) -> None:
    key = world.config.scale_sets[0].key
    assert world.root.receive(SetDrain((key,), drain)) is True
    world.play()


def drained() -> World:
    """One busy runner and an idle one, then `runner drain`."""
    world = World(max_runners=3, min_runners=1)
    world.queue(1)
    world.play()
    set_drain(world, drain=True)
    world.advance(20)
    return world


def test_idle_runners_go_the_busy_one_finishes_and_nothing_new_begins() -> None:
    world = drained()
    (busy,) = world.working()
    world.queue(2)
    world.advance(120)

    assert [one.runner for one in world.resources()] == [busy]
    assert (world.status().state, world.status().busy) == (SetState.DRAINING, 1)
    assert world.github.scale_set("linux").session is None  # type: ignore[union-attr]

    world.finish_all()
    world.advance(15)
    assert (world.resources(), world.cut_down) == ([], [])
    assert world.status().counters.jobs_completed == 1
    assert world.github.scale_set("linux") is not None


def test_what_was_queued_meanwhile_runs_after_a_resume() -> None:
    world = drained()
    world.finish_all()
    world.queue(2)
    world.advance(300)
    set_drain(world, drain=False)
    world.advance(5)

    assert world.status().state is SetState.OK
    assert len(world.working()) == 2


def test_a_drain_hands_over_to_a_standby() -> None:
    world = drained()
    world.github.hold_session("linux")
    set_drain(world, drain=False)
    world.advance(5)
    assert world.status().state is SetState.STANDBY


def test_both_may_be_repeated() -> None:
    world = drained()
    set_drain(world, drain=True)
    set_drain(world, drain=False)
    set_drain(world, drain=False)
    world.advance(5)
    assert world.status().state is SetState.OK


def test_a_crash_of_the_scale_set_or_its_listener_does_not_end_a_drain() -> None:
    for kind in (ScaleSetActor, ListenerActor):
        world = drained()
        world.crash(kind)
        world.advance(30)
        assert world.status().state is SetState.DRAINING
        assert world.github.scale_set("linux").session is None  # type: ignore[union-attr]
        world.finish_all()
        world.advance(30)
        assert world.resources() == []


def test_a_stop_ends_a_drained_scale_set_as_any_other() -> None:
    world = drained()
    world.shut_down()
    world.finish_all()
    world.advance(5)

    assert world.ended == [""]
    assert world.github.scale_set("linux") is None


def test_a_drain_during_a_stop_is_refused() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    world.shut_down()
    world.deliver()
    assert world.root.receive(SetDrain((world.config.scale_sets[0].key,), drain=True)) is False
