"""Runners and scale sets of ours that are not configured any more (docs/behaviour.md § 6.5)."""

from __future__ import annotations

import pytest
from support.solo import Solo
from support.world import URL, ScaleSetActor, World

from runscaler.actors.health import HealthActor
from runscaler.actors.messages import Publish
from runscaler.actors.unconfigured import MOST_AT_ONCE, UnconfiguredScaleSets
from runscaler.errors import JobStillRunning
from runscaler.names import ScaleSetKey
from runscaler.status import SetState

OLD = ScaleSetKey.of(URL, "default", "linux")


def reconfigured(world: World, **changed: object) -> World:
    """The process is killed and started again with another scale set in place of "linux"."""
    world.kill()
    settings = world.config.scale_sets[0].model_copy(
        update={"name": "other", "labels": ("other",), **changed}
    )
    world.config = world.config.model_copy(update={"scale_sets": (settings,)})
    world.start()
    world.play()
    return world


def shown(world: World) -> list[str]:
    return [one.name for one in world.board.read().scale_sets]


def test_idle_ones_are_removed_and_the_old_scale_set_is_deleted(log_lines) -> None:
    world = World(max_runners=3, min_runners=2)
    world.play()
    reconfigured(world, min_runners=0)
    world.advance(30)

    assert (world.resources(), list(world.github.runners)) == ([], [])
    assert world.github.scale_set("linux") is None
    assert shown(world) == ["other"]
    assert world.state_store.created_scale_set(OLD) is None
    assert [line for line in log_lines if "is not configured any more, but has 2 runners here" in line]


def test_busy_ones_are_waited_for_however_long_and_counted_in_the_host_s_cap() -> None:
    world = World(max_runners=2, host_cap=2)
    world.queue(1)
    world.play()
    (busy,) = world.working()
    reconfigured(world)
    world.queue(2, "other")
    world.advance(3600)

    assert busy in world.working()
    assert len(world.working()) == 2
    assert shown(world) == ["other", "linux"]
    old = world.status(1)
    assert (old.state, old.reason, old.busy) == (SetState.DRAINING, "not configured any more", 1)

    world.finish(busy)
    world.advance(30)
    assert shown(world) == ["other"]
    assert world.github.scale_set("linux") is None
    assert len(world.working()) == 2
    assert world.cut_down == []


def test_idle_ones_count_under_the_host_s_cap_from_the_start() -> None:
    """The new scale set wants runners before the old one has said what it holds."""
    world = World(max_runners=2, min_runners=2, host_cap=2)
    world.play()
    reconfigured(world)
    assert world.backend.engine.peak == 2

    world.advance(30)
    assert {one.key.name for one in world.resources()} == {"other"}
    assert (len(world.resources()), world.backend.engine.peak) == (2, 2)


def test_a_scale_set_without_runners_is_deleted_too() -> None:
    world = World(max_runners=2)
    world.play()
    reconfigured(world)
    world.advance(5)

    assert world.github.scale_set("linux") is None
    assert world.github.scale_set("other") is not None


def test_one_that_somebody_else_created_stays_at_github() -> None:
    world = World(max_runners=2, min_runners=1)
    world.state_store.created.clear()
    world.play()
    world.state_store.created.clear()
    reconfigured(world, min_runners=0)
    world.advance(30)

    assert world.resources() == []
    assert world.github.scale_set("linux") is not None


def test_one_that_another_listener_serves_stays_at_github() -> None:
    world = World(max_runners=2)
    world.play()
    world.github.end_session("linux")
    world.state_store.sessions.clear()
    world.github.hold_session("linux")
    reconfigured(world)
    world.advance(30)

    assert world.github.scale_set("linux") is not None
    assert shown(world) == ["other"]


def test_a_refusal_to_delete_it_is_left_to_the_next_start() -> None:
    world = World(max_runners=2)
    world.play()
    world.github.fail_next("delete_scale_set", JobStillRunning("a job still runs", status=400))
    reconfigured(world)
    world.advance(5)
    assert world.github.scale_set("linux") is not None

    reconfigured(world)
    world.advance(5)
    assert world.github.scale_set("linux") is None


def test_runners_of_another_host_are_named_and_left_alone(log_lines) -> None:
    """A token is sent to no host that is not configured, whatever a label says."""
    world = World(max_runners=2, min_runners=1)
    world.play()
    connected: list[str] = []
    connect = world._connect
    world._connect = lambda settings, report: connected.append(settings.url) or connect(settings, report)  # type: ignore[method-assign,func-returns-value]
    reconfigured(world, url="https://ghes.example/my-org")
    world.advance(65)

    assert set(connected) == {"https://ghes.example/my-org"}
    assert len(world.resources()) == 2
    assert len([line for line in log_lines if "no credential is known" in line]) == 1


@pytest.mark.parametrize(("recorded", "left"), [(True, 0), (False, 1)])
def test_those_of_another_organisation_need_the_record_of_what_was_created(recorded: bool, left: int) -> None:
    world = World(max_runners=2, min_runners=1)
    world.play()
    if not recorded:
        world.state_store.created.clear()
    reconfigured(world, url="https://github.com/new-org", min_runners=0)
    world.advance(30)

    assert len(world.resources()) == left


def test_a_stop_with_keep_leaves_them_for_the_next_start() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    reconfigured(world)
    world.config = world.config.model_copy(update={"on_exit": "keep"})
    world.kill()
    world.start()
    world.play()
    world.shut_down()
    world.play()

    assert world.ended == [""]
    assert len(world.working()) == 1
    assert world.github.scale_set("linux") is not None


def test_a_stop_gives_their_jobs_the_drain_timeout() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    reconfigured(world)
    world.shut_down()
    world.advance(world.config.drain_timeout - 5)
    assert (len(world.working()), world.ended) == (1, [])

    world.advance(10)
    assert (world.working(), world.ended) == ([], [""])


def test_its_actor_goes_on_after_a_crash() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    reconfigured(world)
    world.crash(ScaleSetActor, 1)
    world.advance(30)
    assert world.status(1).state is SetState.DRAINING

    world.finish_all()
    world.advance(30)
    assert (shown(world), world.resources()) == (["other"], [])
    assert world.github.scale_set("linux") is None


def test_labels_of_any_number_of_scale_sets_make_no_more_than_100_actors(log_lines) -> None:
    """Whoever reaches the engine can write them."""
    unconfigured = UnconfiguredScaleSets(Solo(max_runners=1).context, {OLD}, ["memory"])
    keys = [ScaleSetKey.of(URL, "default", f"made-up-{number}") for number in range(1000)]

    assert len(list(unconfigured.listed("memory", keys))) == MOST_AT_ONCE
    assert len([line for line in log_lines if "somebody else may have labelled them" in line]) == 1


def test_those_that_are_left_alone_are_remembered_up_to_100(log_lines) -> None:
    unconfigured = UnconfiguredScaleSets(Solo(max_runners=1).context, {OLD}, ["memory"])
    for round_ in range(3):
        keys = [ScaleSetKey.of("https://evil.example/x", "default", f"{round_}-{n}") for n in range(80)]
        assert list(unconfigured.listed("memory", keys)) == []

    assert len([line for line in log_lines if "left alone" in line]) == MOST_AT_ONCE


def test_a_snapshot_that_was_due_at_its_end_does_not_show_it_again() -> None:
    """An actor that ends still handles what is queued by then."""
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    reconfigured(world)
    retired = world.harness.alive(ScaleSetActor)[1]
    world.finish_all()
    world.advance(30)
    assert shown(world) == ["other"]

    retired.receive(Publish())
    world.deliver()
    assert shown(world) == ["other"]


def test_one_that_ends_while_the_health_actor_is_away_is_not_shown_for_ever() -> None:
    """Its last snapshot is lost."""
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    reconfigured(world)
    assert world.status(1).name == "linux"
    world.crash(HealthActor)
    world.finish_all()
    world.play()
    assert (shown(world), world.github.scale_set("linux")) == (["other", "linux"], None)

    world.advance(2)
    assert shown(world) == ["other"]
