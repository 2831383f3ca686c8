"""Every kind of actor crashes, once or repeatedly (docs/behaviour.md § 8.1)."""

from __future__ import annotations

from typing import Any

import pytest
from support.world import World, scale_set

from runscaler import events
from runscaler.actors.health import HealthActor
from runscaler.actors.host import HostActor
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.listener import ListenerActor
from runscaler.actors.messages import Ping
from runscaler.actors.root import RootActor
from runscaler.actors.runner import RunnerActor
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.github.messages import JobCompleted, JobStarted
from runscaler.policy.lifecycle import FINISH_SECONDS
from runscaler.status import SetState

SHARED = (HealthActor, HostActor, KeeperActor)
OWN = (ListenerActor, RunnerActor, ScaleSetActor)


def crash_repeatedly(world: World, kind: type[Any], times: int) -> None:
    """It crashes again each time as soon as it was restarted."""
    for _ in range(times):
        while not world.stage.living(kind) and not world.ended:
            world.clock.advance(0.5)
            world.deliver()
        if world.ended:
            return
        world.crash(kind)
        world.deliver()


@pytest.mark.parametrize("kind", SHARED + OWN)
def test_a_crashed_actor_is_back_after_a_second_and_jobs_go_on(kind: type[Any]) -> None:
    world = World(max_runners=4, host_cap=4)
    world.queue(2)
    world.play()
    working = set(world.working())

    world.crash(kind)
    world.deliver()
    before = len(world.stage.living(kind))
    world.advance(1.2)
    assert len(world.stage.living(kind)) > before

    jobs = world.queue(2)
    world.advance(5)
    assert working < set(world.working())
    assert len(world.working()) == 4
    world.finish_all()
    world.advance(30)
    assert (world.resources(), world.cut_down, len(world.started)) == ([], [], 4)
    assert {job.result for job in jobs} == {"succeeded"}


@pytest.mark.parametrize("kind", SHARED + OWN)
def test_a_crash_is_counted_and_emitted_as_an_event(kind: type[Any]) -> None:
    world = World(max_runners=2, min_runners=1)
    world.play()
    world.crash(kind)
    world.advance(3)

    own = world.status().restarts
    shared = sum(world.board.read().restarts.values())
    assert (own, shared) == ((1, 0) if kind in OWN else (0, 1))
    assert len([one for one in world.events if isinstance(one, events.ActorRestarted)]) == 1


@pytest.mark.parametrize("kind", SHARED + OWN)
def test_an_orderly_stop_follows_a_crash(kind: type[Any]) -> None:
    world = World(max_runners=2, min_runners=1)
    world.play()
    world.crash(kind)
    world.advance(3)
    world.shut_down()
    world.advance(5)

    assert (world.ended, world.resources()) == ([""], [])
    assert world.github.scale_set("linux") is None


@pytest.mark.parametrize("kind", SHARED)
def test_a_crash_of_a_shared_actor_while_stopping_does_not_delay_the_stop(kind: type[Any]) -> None:
    world = World(max_runners=2, min_runners=1)
    world.play()
    world.hanging = (kind,)
    world.crash(kind)
    world.shut_down()
    world.play()
    world.hanging = ()
    world.advance(30)
    assert world.ended == [""]


@pytest.mark.parametrize("kind", [*SHARED, ScaleSetActor])
def test_an_actor_that_crashed_before_it_answered_a_heartbeat_is_not_taken_for_hanging(
    kind: type[Any],
) -> None:
    world = World(max_runners=1)
    world.play()
    world.hanging = (kind,)
    world.crash(kind)
    world.advance(11)
    world.hanging = ()
    world.advance(60)

    assert world.root.receive(Ping()) is True


def test_a_runner_actor_that_crashes_too_often_blocks_its_slot_for_a_minute() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    world.finish_all()
    world.play()
    crash_repeatedly(world, RunnerActor, 6)
    assert [one.gave_up for one in world.events if isinstance(one, events.ActorRestarted)][-1]

    world.queue(1)
    world.advance(50)
    assert world.states() == []
    assert world.status().unmet
    world.advance(15)
    assert world.states() == ["busy"]


@pytest.mark.parametrize("kind", [ListenerActor, ScaleSetActor])
def test_a_scale_set_that_crashes_too_often_fails_alone_and_is_restarted(kind: type[Any]) -> None:
    world = World(scale_sets=(scale_set("linux", max_runners=2), scale_set("other", max_runners=2)))
    world.queue(1)
    world.play()
    working = world.working()
    for _ in range(6):
        while len(world.stage.living(kind)) < 2:
            world.clock.advance(0.5)
            world.deliver()
        number = next(n for n, one in enumerate(world.stage.living(kind)) if "linux" in one.name)
        world.crash(kind, number)
        world.deliver()

    assert world.status(0).state is SetState.FAILED
    world.queue(1, "other")
    world.play()
    assert world.states(1) == ["busy"]
    assert world.status(1).state is SetState.OK

    world.advance(62)
    assert world.status(0).state is SetState.OK
    assert set(working) < set(world.working())


@pytest.mark.parametrize("kind", SHARED)
def test_a_shared_actor_that_crashes_too_often_ends_the_program(kind: type[Any]) -> None:
    world = World(max_runners=2, min_runners=1)
    world.play()
    crash_repeatedly(world, kind, 6)
    world.deliver()

    assert len(world.ended) == 1
    assert "again and again" in world.ended[0]
    assert len(world.resources()) == 1


def test_a_crash_of_root_ends_the_program_and_all_actors() -> None:
    world = World(max_runners=2, min_runners=1)
    world.play()
    world.crash(RootActor)
    world.play()

    assert [reason.split(":")[0] for reason in world.ended] == ["the root actor crashed"]
    assert all(actor.actor_stopped.is_set() for actor in world.stage.actors)
    assert len(world.resources()) == 1


def test_a_claim_that_was_lost_with_the_host_actor_is_repeated() -> None:
    world = World(max_runners=2, host_cap=1)
    world.hanging = (HostActor,)
    world.queue(1)
    world.play()
    assert world.states() == ["waiting"]

    world.stage.living(HostActor)[0].actor_inbox.get()  # the claim is lost
    world.crash(HostActor)
    world.hanging = ()
    world.advance(3)
    assert world.states() == ["busy"]


def test_a_start_that_was_lost_with_its_actor_is_repeated_under_another_name() -> None:
    world = World(max_runners=1)
    world.hanging = (RunnerActor,)
    world.queue(1)
    world.play()
    name = world.status().slots[0].runner
    runner = world.stage.living(RunnerActor)[0]
    runner.actor_inbox.get()
    runner.actor_ref.tell(object())
    world.hanging = ()
    world.advance(5)

    assert world.states() == ["busy"]
    assert world.working() != [name]


def test_a_removal_that_was_lost_with_its_actor_is_repeated() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    world.hanging = (RunnerActor,)
    world.finish_all()
    world.play()
    assert world.states() == ["removing"]
    runner = world.stage.living(RunnerActor)[0]
    runner.actor_inbox.get()
    runner.actor_ref.tell(object())
    world.hanging = ()
    world.advance(3)
    assert (world.states(), world.resources()) == ([], [])


def test_a_retirement_that_was_lost_with_its_actor_is_repeated() -> None:
    world = World(max_runners=1, idle_timeout=10.0)
    world.agents_connect = False
    (job,) = world.queue(1)
    world.play()
    world.github.cancel("linux", job)
    world.play()
    world.advance(9)
    world.hanging = (RunnerActor,)
    world.advance(2)
    assert world.states() == ["retiring"]
    runner = world.stage.living(RunnerActor)[0]
    runner.actor_inbox.get()
    runner.actor_ref.tell(object())
    world.hanging = ()
    world.advance(15)
    assert (world.states(), world.resources(), list(world.github.runners)) == ([], [], [])


def test_a_runner_whose_actor_crashed_after_its_job_was_over_is_removed() -> None:
    world = World(max_runners=1)
    world.agents_connect = False
    world.play()
    world.hanging = (RunnerActor,)
    world.queue(1)
    world.play()
    runner = world.status().slots[0].runner
    world.github.say(
        "linux", JobStarted("early", runner_name=runner), JobCompleted("early", runner_name=runner)
    )
    world.advance(FINISH_SECONDS + 1)
    assert world.states() == ["finishing"]

    start = world.backend.start

    def start_and_die(order: Any, interrupt: Any) -> None:
        world.backend.start = start  # type: ignore[method-assign]
        start(order, interrupt)
        raise RuntimeError("after it was made")

    world.backend.start = start_and_die  # type: ignore[method-assign,assignment]
    world.hanging = ()
    world.deliver()
    assert [one.runner for one in world.resources()] == [runner]

    world.advance(60)
    assert runner not in [one.runner for one in world.resources()]


def test_a_finishing_runner_whose_actor_crashed_is_removed_all_the_same() -> None:
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


def test_a_busy_slot_whose_start_was_lost_becomes_free() -> None:
    world = World(max_runners=1)
    world.hanging = (RunnerActor,)
    world.queue(1)
    world.play()
    assert world.states() == ["starting"]
    name = world.status().slots[0].runner
    world.github.say("linux", JobStarted("job-x", runner_name=name))
    world.play()
    assert world.states() == ["busy"]
    runner = world.stage.living(RunnerActor)[0]
    runner.actor_inbox.get()  # the start is lost
    runner.actor_ref.tell(object())
    world.hanging = ()
    world.play()
    world.advance(40)
    assert [s.runner for s in world.status().slots] != [name]
    world.advance(10)
    world.finish_all()
    world.advance(10)
    assert world.status().total == 0


def test_a_finishing_slot_whose_start_was_lost_becomes_free() -> None:
    world = World(max_runners=1)
    world.hanging = (RunnerActor,)
    world.queue(1)
    world.play()
    name = world.status().slots[0].runner
    world.github.say("linux", JobStarted("job-x", runner_name=name), JobCompleted("job-x", runner_name=name))
    world.play()
    runner = world.stage.living(RunnerActor)[0]
    runner.actor_inbox.get()
    runner.actor_ref.tell(object())
    world.hanging = ()
    world.play()
    world.advance(60)
    assert name not in [s.runner for s in world.status().slots]


def test_doubt_about_a_start_does_not_affect_the_next_runner_in_the_slot() -> None:
    world = World(max_runners=1, start_timeout=60.0)
    world.hanging = (RunnerActor,)
    world.queue(1)
    world.play()
    runner = world.stage.living(RunnerActor)[0]
    runner.actor_inbox.get()
    runner.actor_ref.tell(object())
    world.hanging = (KeeperActor,)  # there is no inventory for a long time
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
