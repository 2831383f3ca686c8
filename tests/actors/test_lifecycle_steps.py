"""Each step of a slot's life, brought about in a whole system without threads.

Every row of the table of transitions that is not ignored has its scenario here, which fails without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.world import World

from runscaler.actors.runner import RunnerActor
from runscaler.errors import BackendError, JobStillRunning, StartFailed, Unreachable
from runscaler.github.messages import JobCompleted, JobStarted
from runscaler.policy.lifecycle import IGNORE, TABLE, SlotEvent, SlotState

if TYPE_CHECKING:
    from collections.abc import Callable

S, E = SlotState, SlotEvent
SCENARIOS: dict[tuple[SlotState, SlotEvent], Callable[[], None]] = {}
STILL_RUNNING = JobStillRunning("a job still runs", status=400)


def row(state: SlotState, event: SlotEvent) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(scenario: Callable[[], None]) -> Callable[[], None]:
        SCENARIOS[state, event] = scenario
        return scenario

    return register


# -- worlds with one slot in a certain state ------------------------------------------------------------


def one_slot(world: World) -> tuple[str, str]:
    """The name and the state of the one slot that is held."""
    (slot,) = world.status().slots
    return slot.runner, slot.state


def starting(**settings: Any) -> tuple[World, str]:
    """Its actor is in another call, so that the order to start waits."""
    world = World(max_runners=1, min_runners=1, **settings)
    world.hanging = (RunnerActor,)
    world.play()
    runner, state = one_slot(world)
    assert state == S.STARTING
    return world, runner


def idle(**settings: Any) -> tuple[World, str]:
    world = World(max_runners=1, min_runners=1, **settings)
    world.play()
    runner, state = one_slot(world)
    assert state == S.IDLE
    return world, runner


def busy(**settings: Any) -> tuple[World, str]:
    world = World(max_runners=1, **settings)
    world.queue(1)
    world.play()
    runner, state = one_slot(world)
    assert state == S.BUSY
    return world, runner


def surplus(**settings: Any) -> tuple[World, str]:
    """Idle, and not wanted any more: its job was cancelled before it came."""
    world = World(max_runners=1, idle_timeout=10.0, **settings)
    world.agents_connect = False
    (job,) = world.queue(1)
    world.play()
    world.github.cancel(job)
    world.play()
    runner, state = one_slot(world)
    assert state == S.IDLE
    return world, runner


def retiring(**settings: Any) -> tuple[World, str]:
    """GitHub has not been asked yet: the slot's actor is in another call."""
    world, runner = surplus(**settings)
    world.hanging = (RunnerActor,)
    world.advance(11)
    assert one_slot(world) == (runner, S.RETIRING)
    return world, runner


def lingering(**settings: Any) -> tuple[World, str]:
    """Its job is over, its process is not."""
    world, runner = busy(**settings)
    world.finish(runner, ends=False)
    world.play()
    assert one_slot(world) == (runner, S.FINISHING)
    return world, runner


def adopted() -> tuple[World, str]:
    world, runner = idle()
    world.kill()
    world.start()
    world.hanging = (RunnerActor,)
    world.play()
    assert one_slot(world) == (runner, S.ADOPTED)
    return world, runner


def say_started(world: World, runner: str, job: str = "job-x") -> None:
    world.github.say("linux", JobStarted(job, runner_name=runner))
    world.play()


def say_completed(world: World, runner: str, job: str = "job-x") -> None:
    world.github.say("linux", JobCompleted(job, runner_name=runner))
    world.play()


def lose_the_start(world: World) -> None:
    """The slot's actor dies of the order to start, before anything was made."""
    runner = world.harness.alive(RunnerActor)[0]
    runner.actor_inbox.get()
    runner.actor_ref.tell(object())
    world.hanging = ()
    world.agents_connect = False


# -- empty, waiting -------------------------------------------------------------------------------------


@row(S.EMPTY, E.WANTED)
def a_wanted_runner_is_started() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    assert world.states() == ["busy"]


@row(S.EMPTY, E.FOUND)
def what_runs_already_is_taken_over() -> None:
    _, runner = adopted()
    assert runner


@row(S.WAITING, E.UNWANTED)
def a_waiting_slot_that_is_not_wanted_any_more_is_free() -> None:
    world = World(max_runners=2, host_cap=1)
    _, second = world.queue(2)
    world.play()
    assert sorted(world.states()) == ["busy", "waiting"]
    world.github.cancel(second)
    world.play()
    assert world.states() == ["busy"]


@row(S.WAITING, E.CLAIMS_GRANTED)
def a_waiting_slot_starts_when_it_has_what_it_needs() -> None:
    world = World(max_runners=2, host_cap=1)
    world.queue(2)
    world.play()
    world.finish_all()
    world.play()
    assert world.states() == ["busy"]


# -- starting -------------------------------------------------------------------------------------------


@row(S.STARTING, E.UP)
def a_runner_that_is_up_is_idle() -> None:
    idle()


@row(S.STARTING, E.START_FAILED)
def a_failed_start_frees_the_slot() -> None:
    world, runner = starting()
    world.backend.fail_next("start", StartFailed("no space left on device"))
    world.hanging = ()
    world.play()
    assert runner not in [slot.runner for slot in world.status().slots]


@row(S.STARTING, E.FOUND)
def a_start_that_succeeded_though_its_actor_crashed_is_taken_over() -> None:
    world, runner = starting()
    start = world.backend.start

    def start_and_die(order: Any, interrupt: Any) -> None:
        world.backend.start = start  # type: ignore[method-assign]
        start(order, interrupt)
        raise RuntimeError("after it was made")

    world.backend.start = start_and_die  # type: ignore[method-assign,assignment]
    world.hanging = ()
    world.advance(40)
    assert one_slot(world) == (runner, S.ADOPTED)


@row(S.STARTING, E.JOB_STARTED)
def a_job_may_overtake_the_report_of_the_start() -> None:
    world, runner = starting()
    say_started(world, runner)
    assert one_slot(world) == (runner, S.BUSY)


@row(S.STARTING, E.JOB_COMPLETED)
def a_job_may_be_over_before_the_start_is_reported() -> None:
    world, runner = starting()
    say_completed(world, runner)
    assert one_slot(world) == (runner, S.FINISHING)


@row(S.STARTING, E.RETIRE)
def a_stop_cancels_a_start() -> None:
    world, runner = starting()
    world.shut_down()
    world.play()
    assert one_slot(world) == (runner, S.REMOVING)


@row(S.STARTING, E.OVERDUE)
def a_start_that_takes_too_long_is_cancelled() -> None:
    world, runner = starting(start_timeout=60.0)
    world.advance(61)
    assert one_slot(world) == (runner, S.REMOVING)
    assert world.status().counters.runners_failed == 1


@row(S.STARTING, E.GONE)
def a_start_that_was_lost_with_its_actor_frees_the_slot() -> None:
    world, runner = starting()
    lose_the_start(world)
    world.advance(40)
    assert runner not in [slot.runner for slot in world.status().slots]
    assert world.states() == ["idle"]


# -- idle -----------------------------------------------------------------------------------------------


@row(S.IDLE, E.JOB_STARTED)
def an_idle_runner_with_a_job_is_busy() -> None:
    world, runner = idle()
    world.queue(1)
    world.play()
    assert one_slot(world) == (runner, S.BUSY)


@row(S.IDLE, E.JOB_COMPLETED)
def a_completion_whose_start_was_lost_lets_an_idle_runner_finish() -> None:
    world, runner = idle()
    say_completed(world, runner)
    assert one_slot(world) == (runner, S.FINISHING)


@row(S.IDLE, E.ENDED)
def an_idle_runner_that_ends_is_removed() -> None:
    world, runner = idle()
    world.end(runner, 1)
    world.play()
    assert runner not in [slot.runner for slot in world.status().slots]
    assert runner not in [resource.runner for resource in world.resources()]


@row(S.IDLE, E.RETIRE)
def a_surplus_runner_is_retired() -> None:
    retiring()


# -- busy -----------------------------------------------------------------------------------------------


@row(S.BUSY, E.START_FAILED)
def a_start_that_fails_late_frees_its_slot_although_a_job_was_told() -> None:
    world, runner = starting()
    say_started(world, runner)
    world.backend.fail_next("start", StartFailed("no space left on device"))
    world.hanging = ()
    world.play()
    assert runner not in [slot.runner for slot in world.status().slots]


@row(S.BUSY, E.JOB_COMPLETED)
def a_runner_whose_job_is_over_finishes() -> None:
    lingering()


@row(S.BUSY, E.ENDED)
def a_busy_runner_that_ends_is_removed() -> None:
    world, runner = busy()
    world.finish(runner)
    world.play()
    assert (world.states(), world.resources()) == ([], [])


@row(S.BUSY, E.RETIRE)
def a_runner_that_github_calls_busy_after_its_job_is_asked_about_again() -> None:
    world, runner = lingering()
    world.github.fail_next("remove_runner", STILL_RUNNING)
    world.advance(11)
    assert one_slot(world) == (runner, S.BUSY)
    world.advance(45)
    assert (world.states(), world.resources()) == ([], [])


@row(S.BUSY, E.OVERDUE)
def a_job_is_killed_at_its_timeout() -> None:
    world, runner = busy(job_timeout=900.0)
    world.hanging = (RunnerActor,)
    world.advance(901)
    assert one_slot(world) == (runner, S.REMOVING)


@row(S.BUSY, E.GONE)
def a_busy_slot_whose_start_was_lost_is_free_again() -> None:
    world, runner = starting()
    say_started(world, runner)
    lose_the_start(world)
    world.advance(40)
    assert runner not in [slot.runner for slot in world.status().slots]


# -- finishing ------------------------------------------------------------------------------------------


@row(S.FINISHING, E.START_FAILED)
def a_start_that_fails_after_its_job_was_called_over_frees_the_slot() -> None:
    world, runner = starting()
    say_completed(world, runner)
    world.backend.fail_next("start", StartFailed("no space left on device"))
    world.hanging = ()
    world.play()
    assert runner not in [slot.runner for slot in world.status().slots]


@row(S.FINISHING, E.JOB_STARTED)
def a_job_that_starts_late_makes_a_finishing_runner_busy() -> None:
    world, runner = lingering()
    say_started(world, runner, "another")
    assert one_slot(world) == (runner, S.BUSY)


@row(S.FINISHING, E.ENDED)
def a_finishing_runner_that_ends_is_removed() -> None:
    world, _runner = lingering()
    world.backend.end(world.backend.inventory()[0].id, 0)
    world.play()
    assert (world.states(), world.resources()) == ([], [])


@row(S.FINISHING, E.OVERDUE)
def github_is_asked_about_a_runner_that_does_not_finish() -> None:
    world, _ = lingering()
    before = world.github.calls["remove_runner"]
    world.advance(11)
    assert world.github.calls["remove_runner"] == before + 1


@row(S.FINISHING, E.AGREED)
def a_finishing_runner_goes_ten_seconds_after_github_has_agreed() -> None:
    world, _ = lingering()
    world.advance(25)
    assert (world.states(), world.resources()) == ([], [])


@row(S.FINISHING, E.REFUSED)
def a_finishing_runner_that_github_refuses_to_remove_is_busy() -> None:
    world, runner = lingering()
    world.github.fail_next("remove_runner", STILL_RUNNING)
    world.advance(11)
    assert one_slot(world) == (runner, S.BUSY)


@row(S.FINISHING, E.GRACE_OVER)
def a_finishing_runner_is_removed_when_its_grace_is_over() -> None:
    world, runner = lingering()
    world.advance(15)
    assert one_slot(world) == (runner, S.FINISHING)
    world.advance(10)
    assert world.resources() == []


@row(S.FINISHING, E.GONE)
def a_finishing_slot_whose_start_was_lost_is_free_again() -> None:
    world, runner = starting()
    say_completed(world, runner)
    lose_the_start(world)
    world.advance(60)
    assert runner not in [slot.runner for slot in world.status().slots]


# -- retiring -------------------------------------------------------------------------------------------


@row(S.RETIRING, E.JOB_STARTED)
def a_job_saves_a_retiring_runner() -> None:
    world, runner = retiring()
    say_started(world, runner)
    assert one_slot(world) == (runner, S.BUSY)


@row(S.RETIRING, E.JOB_COMPLETED)
def a_retiring_runner_whose_job_is_over_finishes() -> None:
    world, runner = retiring()
    say_completed(world, runner)
    assert one_slot(world) == (runner, S.FINISHING)


@row(S.RETIRING, E.ENDED)
def a_retiring_runner_that_ends_is_removed() -> None:
    world, runner = retiring()
    world.backend.end(world.backend.inventory()[0].id, 0)
    world.play()
    assert one_slot(world) == (runner, S.REMOVING)


@row(S.RETIRING, E.RETIRE)
def github_is_asked_again_where_it_could_not_be_asked() -> None:
    world, _ = surplus()
    world.github.fail_next("remove_runner", Unreachable("no route to host"))
    world.advance(35)
    assert world.github.calls["remove_runner"] == 1
    world.advance(10)
    assert world.github.calls["remove_runner"] == 2


@row(S.RETIRING, E.OVERDUE)
def a_retiring_runner_goes_at_the_end_of_the_drain() -> None:
    world, runner = surplus()
    world.github.fail_next("remove_runner", Unreachable("no route to host"), times=1000)
    world.shut_down()
    world.advance(25)
    assert one_slot(world) == (runner, S.RETIRING)
    world.advance(10)
    assert world.resources() == []


@row(S.RETIRING, E.AGREED)
def a_retiring_runner_goes_ten_seconds_after_github_has_agreed() -> None:
    world, _ = surplus()
    world.advance(11)
    world.advance(11)
    assert (world.states(), world.resources()) == ([], [])


@row(S.RETIRING, E.REFUSED)
def a_retiring_runner_that_github_refuses_to_remove_is_busy() -> None:
    world, runner = surplus()
    world.github.fail_next("remove_runner", STILL_RUNNING)
    world.advance(12)
    assert one_slot(world) == (runner, S.BUSY)


@row(S.RETIRING, E.GRACE_OVER)
def a_retiring_runner_is_removed_when_its_grace_is_over() -> None:
    world, runner = surplus()
    world.advance(15)
    assert one_slot(world) == (runner, S.RETIRING)
    world.advance(10)
    assert world.resources() == []


# -- removing, adopted ----------------------------------------------------------------------------------


@row(S.REMOVING, E.GONE)
def a_slot_is_free_when_its_resource_is_gone() -> None:
    world, runner = lingering()
    world.backend.fail_next("remove", BackendError("device or resource busy"))
    world.advance(20.5)
    assert one_slot(world) == (runner, S.REMOVING)
    world.advance(5)
    assert world.states() == []


@row(S.REMOVING, E.LEFT_BEHIND)
def an_ended_runner_that_cannot_be_removed_gives_its_slot_up() -> None:
    world, runner = busy()
    world.backend.fail_next("remove", BackendError("device or resource busy"))
    world.finish(runner)
    world.play()
    assert (world.states(), len(world.resources())) == ([], 1)


@row(S.ADOPTED, E.JOB_STARTED)
def an_adopted_runner_with_a_job_is_busy() -> None:
    world, runner = adopted()
    say_started(world, runner)
    assert one_slot(world) == (runner, S.BUSY)


@row(S.ADOPTED, E.JOB_COMPLETED)
def an_adopted_runner_whose_job_is_over_finishes() -> None:
    world, runner = adopted()
    say_completed(world, runner)
    assert one_slot(world) == (runner, S.FINISHING)


@row(S.ADOPTED, E.ENDED)
def an_adopted_runner_that_ends_is_removed() -> None:
    world, runner = adopted()
    world.backend.end(world.backend.inventory()[0].id, 0)
    world.play()
    assert one_slot(world)[0] != runner or one_slot(world)[1] == S.REMOVING


@row(S.ADOPTED, E.RETIRE)
def an_adopted_runner_is_retired_at_a_stop() -> None:
    world, runner = adopted()
    world.shut_down()
    world.play()
    assert one_slot(world) == (runner, S.RETIRING)


# -- the scenarios, and what they prove -----------------------------------------------------------------


@pytest.mark.parametrize("pair", SCENARIOS, ids=lambda pair: "-".join(pair))
def test_the_step_is_taken(pair: tuple[SlotState, SlotEvent]) -> None:
    SCENARIOS[pair]()


def test_every_row_that_is_not_ignored_has_its_scenario() -> None:
    assert set(SCENARIOS) == {pair for pair, answer in TABLE.items() if answer is not IGNORE}


@pytest.mark.parametrize("pair", SCENARIOS, ids=lambda pair: "-".join(pair))
def test_without_its_row_the_scenario_fails(
    pair: tuple[SlotState, SlotEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TABLE, pair, IGNORE)

    with pytest.raises((AssertionError, ValueError, IndexError)):
        SCENARIOS[pair]()
