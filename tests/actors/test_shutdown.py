"""An orderly stop (docs/behaviour.md § 8.3)."""

from __future__ import annotations

from typing import Any

import pytest
from support.world import World

from runscaler.actors.health import HealthActor
from runscaler.actors.host import HostActor
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.listener import ListenerActor
from runscaler.actors.runner import RunnerActor
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.errors import BackendError, Refused
from runscaler.policy.lifecycle import TERMINATE_SECONDS


def with_config(world: World, **changes: Any) -> World:
    world.config = world.config.model_copy(update=changes)
    world.kill()
    world.start()
    world.play()
    return world


def assert_nothing_is_left(world: World) -> None:
    assert world.ended == [""]
    assert world.resources() == []
    assert not world.github.runners
    assert world.github.scale_set("linux") is None
    assert all(actor.actor_stopped.is_set() for actor in world.harness.actors)


def test_idle_runners_go_at_once_and_nothing_is_left() -> None:
    world = World(max_runners=4, min_runners=3)
    world.play()
    world.shut_down()
    world.play()
    assert_nothing_is_left(world)


def test_a_stop_right_after_the_start_leaves_nothing() -> None:
    world = World(max_runners=4, min_runners=3)
    world.shut_down()
    world.play()
    assert_nothing_is_left(world)


def test_busy_ones_may_finish() -> None:
    world = World(max_runners=4, min_runners=1)
    world.queue(2)
    world.play()
    world.shut_down()
    world.advance(5)
    assert world.states() == ["busy", "busy"]
    assert world.ended == []

    world.finish_all()
    world.advance(1)
    assert_nothing_is_left(world)
    assert world.cut_down == []


def test_no_new_jobs_are_taken_meanwhile() -> None:
    world = World(max_runners=4)
    world.queue(1)
    world.play()
    world.shut_down()
    world.play()
    (job,) = world.queue(1)
    world.advance(5)
    assert job.state == "queued"


@pytest.mark.parametrize("drain_timeout", [0.0, 30.0])
def test_busy_ones_are_removed_by_force_when_their_time_is_up(drain_timeout: float) -> None:
    world = with_config(World(max_runners=2), drain_timeout=drain_timeout)
    world.queue(2)
    world.play()
    world.shut_down()
    world.play()
    world.advance(drain_timeout + 1)

    assert world.ended == [""]
    assert world.resources() == []
    assert len(world.cut_down) == 2
    assert set(world.backend.engine.terminated.values()) == {TERMINATE_SECONDS}


def test_what_another_listener_took_over_during_the_drain_stays_at_github() -> None:
    """docs/behaviour.md § 8.3: the session is free from the beginning of the stop."""
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    world.shut_down()
    world.play()
    world.github.hold_session("linux")
    world.finish_all()
    world.advance(5)

    assert world.ended == [""]
    assert world.github.scale_set("linux") is not None


def test_a_refusal_because_a_job_runs_is_no_failure() -> None:
    world = World(max_runners=2)
    world.play()
    world.github.fail_next("delete_scale_set", Refused("a job runs", status=400))
    world.shut_down()
    world.play()
    assert world.ended == [""]
    assert world.github.scale_set("linux") is not None


def test_keep_leaves_everything_but_the_session_for_the_next_start() -> None:
    world = with_config(World(max_runners=3, min_runners=1), on_exit="keep")
    world.queue(1)
    world.play()
    before = {one.id for one in world.resources()}
    world.shut_down()
    world.play()

    assert world.ended == [""]
    assert {one.id for one in world.resources()} == before
    assert world.github.scale_set("linux").session is None  # type: ignore[union-attr]

    world.start()
    world.play()
    assert {one.id for one in world.resources()} == before


def test_starts_under_way_are_cut() -> None:
    world = World(max_runners=2)
    world.hanging = (RunnerActor,)
    world.queue(2)
    world.play()
    assert world.states() == ["starting", "starting"]

    world.shut_down()
    world.play()
    world.hanging = ()
    world.play()
    assert world.started == []
    assert_nothing_is_left(world)


def test_a_standby_leaves_the_scale_set_alone() -> None:
    world = World(max_runners=2)
    world.play()
    world.kill()
    world.state_store.sessions.clear()
    world.github.hold_session("linux")
    world.start()
    world.play()
    world.shut_down()
    world.play()

    assert world.ended == [""]
    assert world.github.calls["delete_scale_set"] == 0


def test_a_removal_that_fails_for_ever_does_not_hold_the_process_for_ever(log_lines: list[str]) -> None:
    world = World(max_runners=1, min_runners=1)
    world.play()
    (left,) = world.resources()
    for _ in range(1000):
        world.backend.fail_next("remove", BackendError("device busy"))
    world.shut_down()
    world.advance(world.config.drain_timeout + 120)
    assert world.ended == [""]
    assert [left.runner in line for line in log_lines if "stopping took too long" in line] == [True]


def test_a_slot_actor_that_hangs_does_not_hold_the_process_for_ever() -> None:
    world = World(max_runners=1, min_runners=1)
    world.play()
    world.hanging = (RunnerActor,)
    world.shut_down()
    world.advance(world.config.drain_timeout + 120)
    assert world.ended == [""]


@pytest.mark.parametrize("kind", [ScaleSetActor, KeeperActor, HostActor, HealthActor])
def test_an_actor_that_may_not_hang_and_does_is_left_behind_and_said_once(
    kind: type[Any], log_lines: list[str]
) -> None:
    world = World(max_runners=1)
    world.play()
    world.hanging = (kind,)
    world.shut_down()
    world.advance(120)
    assert world.ended == [""]
    assert len([line for line in log_lines if "it hangs" in line]) == 1


def test_a_listener_that_crashes_while_it_closes_opens_no_session_again() -> None:
    world = World(max_runners=1)
    world.play()
    opened = world.github.calls["open_session"]
    world.github.fail_next("close_session", ValueError("a bug"))  # type: ignore[arg-type]
    world.shut_down()
    world.advance(5)
    assert world.ended == [""]
    assert world.github.calls["open_session"] == opened


def test_stopping_twice_is_stopping_once() -> None:
    world = World(max_runners=1, min_runners=1)
    world.play()
    world.shut_down()
    world.shut_down()
    world.play()
    assert_nothing_is_left(world)


def test_keeping_does_not_wait_for_ever_for_a_removal() -> None:
    world = World(max_runners=2)
    world.config = world.config.model_copy(update={"on_exit": "keep"})
    world.kill()
    world.start()
    world.queue(1)
    world.play()
    world.backend.engine.down("away")
    runner = world.working()[0]
    world.play()
    for _ in range(100):
        world.backend.fail_next("remove", BackendError("broken"))
    world.finish(runner, ends=False)
    world.backend.engine.up()
    world.advance(25)
    assert world.states() == ["removing"]
    world.backend.engine.down("away")
    world.shut_down()
    world.advance(600)
    assert world.ended == [""]


def test_a_listener_that_comes_back_in_a_drain_takes_no_new_jobs() -> None:
    world = World(max_runners=3)
    world.queue(1)
    world.play()
    world.shut_down()
    world.play()
    world.crash(ListenerActor)
    world.advance(5)
    jobs = world.queue(2)
    world.play()
    assert [job.state for job in jobs] == ["queued", "queued"]


def test_who_lost_the_session_does_not_delete_the_scale_set() -> None:
    world = World(max_runners=1)
    world.play()
    world.github.hold_session("linux")
    world.advance(5)
    assert world.status().state == "standby"
    world.shut_down()
    world.advance(60)
    assert world.ended == [""]
    assert world.github.scale_set("linux") is not None


def test_what_is_found_during_a_drain_is_retired() -> None:
    world = World(max_runners=2, min_runners=1)
    world.queue(1)
    world.play()
    world.kill()
    world.start()
    world.hanging = (KeeperActor,)
    world.play()
    world.shut_down()
    world.play()
    world.hanging = ()
    world.advance(2)
    assert world.ended == [""] or "adopted" not in world.states()
    world.finish_all()
    world.advance(20)
    assert world.ended == [""]
    assert world.resources() == []


def test_a_runner_actor_that_is_made_while_stopping_ends_too() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    world.vanish(world.working()[0])
    world.play()
    world.hanging = (ListenerActor,)
    world.shut_down()
    world.advance(40)
    world.hanging = ()
    world.play()
    assert world.ended == [""]
    assert all(a.actor_stopped.is_set() for a in world.harness.actors if not isinstance(a, ListenerActor))


def test_a_listener_that_has_closed_does_not_connect_again() -> None:
    """A turn queued behind CloseSession was taken before the stop: scale set and session came back."""
    world = World(max_runners=1, min_runners=1)
    world.play()
    world.github.end_session("linux")
    world.poll()
    world.deliver()  # the session is dropped; a new one is to be opened in a moment
    world.hanging = (ListenerActor,)
    world.shut_down()
    world.deliver()
    world.hanging = ()
    world.deliver()
    world.advance(3)
    assert world.ended == [""]
    left = world.github.scale_set("linux")
    assert left is None or left.session is None
