"""Bugs that scenarios found: each of these failed before it was mended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.world import World, scale_set

from runscaler.actors.host import HostActor
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.listener import ListenerActor
from runscaler.actors.runner import RunnerActor
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.errors import BackendError, ServerTrouble
from runscaler.github.messages import JobCompleted, JobStarted


def test_a_finishing_runner_whose_actor_crashed_is_asked_about_all_the_same() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    runner = world.working()[0]
    world.finish(runner, ends=False)
    world.play()
    assert world.states() == ["finishing"]
    world.advance(9.5)
    world.crash(RunnerActor)
    world.clock.advance(0.6)  # the deadline passes while the slot's actor is down
    world.play()
    world.advance(120)
    assert world.states() == []


def test_a_busy_slot_whose_start_was_lost_is_free_again() -> None:
    world = World(max_runners=1)
    world.hanging = (RunnerActor,)
    world.queue(1)
    world.play()
    assert world.states() == ["starting"]
    name = world.status().slots[0].runner
    world.github.say("linux", JobStarted("job-x", runner_name=name))
    world.play()
    assert world.states() == ["busy"]
    runner = world.harness.alive(RunnerActor)[0]
    runner.actor_inbox.get()  # the start is what it dies of
    runner.actor_ref.tell(object())
    world.hanging = ()
    world.play()
    world.advance(40)
    assert [s.runner for s in world.status().slots] != [name]
    world.advance(10)
    world.finish_all()
    world.advance(10)
    assert world.status().total == 0


def test_a_finishing_slot_whose_start_was_lost_is_free_again() -> None:
    world = World(max_runners=1)
    world.hanging = (RunnerActor,)
    world.queue(1)
    world.play()
    name = world.status().slots[0].runner
    world.github.say("linux", JobStarted("job-x", runner_name=name), JobCompleted("job-x", runner_name=name))
    world.play()
    runner = world.harness.alive(RunnerActor)[0]
    runner.actor_inbox.get()
    runner.actor_ref.tell(object())
    world.hanging = ()
    world.play()
    world.advance(60)
    assert name not in [s.runner for s in world.status().slots]


def two(**settings: object) -> tuple:
    return (scale_set("a", **settings), scale_set("b", **settings))


def test_a_new_host_keeps_the_cap() -> None:
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


def test_a_restart_keeps_the_cap() -> None:
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


def test_a_crashed_scale_set_keeps_its_places() -> None:
    world = World(scale_sets=two(max_runners=3), host_cap=2)
    world.queue(2, "b")
    world.play()
    world.queue(3, "a")
    world.play()
    world.crash(ScaleSetActor, 1)
    world.advance(5)
    assert world.backend.engine.peak == 2


def test_a_slot_in_doubt_is_not_in_doubt_for_its_next_runner() -> None:
    world = World(max_runners=1, start_timeout=60.0)
    world.hanging = (RunnerActor,)
    world.queue(1)
    world.play()
    runner = world.harness.alive(RunnerActor)[0]
    runner.actor_inbox.get()
    runner.actor_ref.tell(object())
    world.hanging = (KeeperActor,)  # the engine does not list for a long time
    world.play()
    world.advance(61)
    world.hanging = ()
    world.play()
    world.advance(5)
    assert world.states() == ["busy"], world.status()
    world.finish_all()
    world.play()
    world.hanging = (RunnerActor,)
    world.queue(1)
    world.advance(3)
    name = world.status().slots[0].runner
    world.advance(40)  # two reconciliations pass while it starts
    assert [s.runner for s in world.status().slots] == [name]
    world.hanging = ()
    world.play()
    assert world.working() == [name]


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
    world.finish(runner)
    world.play()
    world.backend.engine.up()
    world.play()
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


def test_polling_goes_on_while_a_batch_cannot_be_acknowledged() -> None:
    world = World(max_runners=3)
    world.play()
    world.github.fail_next("acknowledge", ServerTrouble("502"), times=1000)
    world.queue(1)
    world.play()
    world.queue(2)
    world.advance(10)
    assert world.states() == ["busy"] * 3


def test_a_job_without_an_id_ends() -> None:
    world = World(max_runners=1, min_runners=1)
    world.play()
    name = world.status().slots[0].runner
    world.github.say("linux", JobStarted("", runner_name=name))
    world.play()
    assert world.states() == ["busy"]
    world.github.say("linux", JobCompleted("", runner_name=name))
    world.play()
    assert world.states() == ["finishing"]


@pytest.mark.parametrize("ended", [False, True])
def test_a_job_counts_once_as_started_in_whatever_order(ended: bool) -> None:
    world = World(max_runners=1, min_runners=1)
    world.play()
    name = world.status().slots[0].runner
    if ended:
        world.end(name, 0)
        world.deliver()
    world.github.say("linux", JobCompleted("j", runner_name=name))
    world.play()
    world.github.say("linux", JobStarted("j", runner_name=name))
    world.play()
    status = world.status()
    assert (status.jobs_started, status.jobs_completed) == (1, 1)


def test_an_image_that_failed_beside_an_engine_that_was_away_is_there_when_it_is_back() -> None:
    world = World(max_runners=1)
    world.backend.fail_next("prepare", BackendError("no image"))
    world.kill()
    world.backend.engine.down("away")
    world.start()
    world.play()
    world.backend.engine.up()
    world.play()
    world.advance(5)
    world.queue(1)
    world.play()
    assert world.states() == ["busy"]


def test_crashed_runner_actor_forgets_no_registration() -> None:
    world = World(max_runners=1, min_runners=0)
    world.agents_connect = False
    world.queue(1)
    world.github.fail_next("remove_runner", ServerTrouble("502"), times=1)
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


def test_a_job_that_is_over_before_github_told_of_it_needs_no_second_runner() -> None:
    """Two runners did two jobs and ended with 0 while the listener was slow."""
    world = World(max_runners=3)
    world.queue(2)
    world.deliver()
    world.poll()
    world.deliver()
    world.hanging = (ListenerActor,)
    world.live_agents()
    world.finish_all()
    world.deliver()
    world.hanging = ()
    world.play()
    assert len(world.started) == 2


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
