"""Messages that never come: what a message alone would have told is found out in another way.

docs/behaviour.md § 6.5: no state waits for a message alone; faults F76, F87, F88, F91 and F97.
"""

from __future__ import annotations

import pytest
from support.world import World

from runscaler import events
from runscaler.github.messages import JobCompleted, JobStarted
from runscaler.simulator.options import Flavour
from runscaler.status import SetState

BOTH = (JobStarted, JobCompleted)


def ran_and_ended(world: World, exit_code: int = 0) -> None:
    """Every runner with a job ends, as after it."""
    for runner in world.working():
        resource = world.running[runner]
        world.finish(runner, ends=False)
        world.backend.end(resource.id, exit_code)


# -- ends by proof (F87) ----------------------------------------------------------------------------------


def test_a_runner_whose_registration_is_gone_had_its_job_though_no_message_told() -> None:
    world = World(max_runners=3)
    world.withheld = BOTH
    world.queue(9)
    for _ in range(3):
        world.play()
        assert len(world.working()) == 3
        ran_and_ended(world)
        world.advance(1)
    world.advance(30)

    status = world.status()
    assert (status.counters.runners_failed, len(world.started)) == (0, 9)
    assert (status.state, world.resources(), status.total) == (SetState.OK, [], 0)


def test_the_next_runner_starts_within_a_second_of_such_an_end() -> None:
    world = World(max_runners=1)
    world.withheld = BOTH
    world.queue(2)
    world.play()
    ran_and_ended(world)
    world.advance(1)

    assert len(world.started) == 2


def test_a_runner_that_is_still_registered_had_no_job_and_is_a_failure_within_seconds() -> None:
    world = World(max_runners=1, min_runners=1)
    world.play()
    world.end(world.status().slots[0].runner, 0)
    world.advance(5)

    assert world.status().counters.runners_failed == 1


# -- a death in the job (docs/behaviour.md § 5.4), and the jobs of the dead (F97) ---------------------------


def test_a_runner_that_is_killed_in_its_job_is_said_at_once_with_its_output(log_lines: list[str]) -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    (runner,) = world.working()
    resource = world.running[runner]
    world.backend.engine.write(resource.id, b"compiling\n")
    world.end(runner, 137, signal=9)
    world.play()

    (line,) = [line for line in log_lines if "while it ran" in line]
    assert runner in line
    assert "signal 9" in line
    assert "its last line of output: compiling; its last output is kept in" in line
    assert world.state_store.outputs[runner] == b"compiling\n"
    assert world.status().counters.runners_lost == 1
    assert [one.runner for one in world.events if isinstance(one, events.RunnerLost)] == [runner]


def test_a_job_that_fails_by_itself_is_no_lost_runner(log_lines: list[str]) -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    world.finish(world.working()[0], result="failed")
    world.advance(5)

    assert [line for line in log_lines if "while it ran" in line] == []
    assert world.status().counters.runners_lost == 0


def test_nothing_is_started_for_jobs_that_are_bound_to_dead_runners() -> None:
    world = World(max_runners=6)
    world.queue(3)
    world.play()
    for runner in world.working():
        world.end(runner, 137, signal=9)
    world.advance(120)
    assert (len(world.started), world.status().total) == (3, 0)

    for runner in list(world.begun):
        world.github.lease_over(world.github.runner_names[runner].id)
    world.queue(1)
    world.advance(60)
    assert len(world.started) == 4


# -- busy is doubted, too (F88) -----------------------------------------------------------------------------


def test_a_busy_runner_whose_completion_was_lost_and_whose_process_lingers_is_removed() -> None:
    world = World(max_runners=2)
    world.queue(2)
    world.play()
    world.withheld = (JobCompleted,)
    for runner in world.working():
        world.finish(runner, ends=False)
    world.play()
    assert world.states() == ["busy", "busy"]
    world.queue(2)

    world.advance(180)
    assert len(world.started) == 4


def test_a_busy_runner_is_removed_though_no_message_ever_brings_other_counts() -> None:
    world = World(max_runners=2)
    jobs = world.queue(2)
    world.play()
    for job in jobs:
        job.lingers = True
    for runner in world.working():
        world.finish(runner, ends=False)
    world.advance(180)

    assert (world.states(), world.resources()) == ([], [])


def test_a_busy_runner_with_a_job_inside_stays_whatever_github_says() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    (runner,) = world.working()
    world.github.deregister(world.running[runner].runner_id)

    world.advance(600)
    assert world.cut_down == []
    assert [one.runner for one in world.resources()] == [runner]


def test_no_job_is_left_to_a_busy_runner_that_github_has_forgotten() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    (runner,) = world.working()
    resource = world.running.pop(runner)
    world.withheld = (JobCompleted,)
    world.github.finish_job(resource.runner_id, "succeeded")
    world.play()
    world.withheld = ()
    world.advance(300)
    world.queue(1)
    world.advance(30)

    assert len(world.started) == 2
    assert runner in [one.runner for one in world.resources()]


def test_counts_that_no_message_corrects_are_asked_for_once_all_jobs_are_over() -> None:
    world = World(max_runners=2, idle_timeout=10)
    world.queue(2)
    world.play()
    world.withheld = BOTH
    world.counts_are_lost = True
    ran_and_ended(world)
    world.advance(120)

    status = world.status()
    assert (status.assigned_jobs, world.resources(), status.total) == (0, [], 0)
    started = len(world.started)
    world.advance(600)
    assert len(world.started) == started


# -- offers (F89) -------------------------------------------------------------------------------------------


def test_an_offer_that_no_message_told_of_is_found_when_the_session_is_refreshed() -> None:
    world = World(max_runners=1, flavour=Flavour.ACQUIRE)
    world.play()
    world.lose_messages = True
    world.queue(1)
    world.advance(60)
    world.lose_messages = False
    assert world.started == []

    world.github.expire_queue_token("linux")
    world.advance(60)
    assert len(world.started) == 1


def test_an_offer_that_is_over_does_not_hide_one_that_was_not_acquired() -> None:
    """The first job is offered twice, with the session and in a message; the second one takes its place only
    when GitHub is asked."""
    world = World(max_runners=1, flavour=Flavour.ACQUIRE)
    world.play()
    world.backend.engine.down("the engine is away")
    world.kill()
    world.start()
    world.queue(1)
    world.play()
    world.queue(1)
    world.backend.engine.up()
    world.play()
    world.finish_all()
    world.advance(60)

    assert len(world.started) == 2


# -- registrations that go by the dozen (F91) -------------------------------------------------------------


@pytest.mark.parametrize("count", [40])
def test_many_lost_registrations_are_replaced_within_five_minutes(count: int) -> None:
    world = World(max_runners=count, min_runners=count)
    world.play()
    ghosts = dict(world.running)
    for resource in ghosts.values():
        world.github.deregister(resource.runner_id)
    world.queue(count)

    world.advance(300)
    assert len(set(world.working()) - ghosts.keys()) == count


# -- started is not online (F76) ----------------------------------------------------------------------------


def test_runners_that_never_connect_are_said_within_two_minutes_and_replaced_slowly() -> None:
    world = World(max_runners=2, min_runners=2)
    world.agents_connect = False
    world.play()
    world.backend.engine.write(world.resources()[0].id, b"starting\nsleep: 100000\n")
    world.advance(150)

    status = world.status()
    assert status.state is SetState.DEGRADED
    assert "GitHub does not see it" in status.reason
    world.advance(600)
    assert len(world.started) <= 14

    world.agents_connect = True
    world.advance(300)
    assert world.status().state is SetState.OK
    assert world.states() == ["idle", "idle"]


def test_counts_that_are_older_than_a_runner_do_not_prove_it_connected() -> None:
    """They still count the runner whose place it took."""
    world = World(max_runners=1, min_runners=1)
    world.play()
    world.github.expire_queue_token("linux")
    world.play()
    world.github.deregister(world.resources()[0].runner_id)
    world.end_unregistered()
    world.deaf_next = 1
    world.play()
    world.advance(150)

    assert world.started[1] in world.deaf
    assert len(world.started) == 3


def test_one_that_was_taken_over_and_never_connects_is_replaced() -> None:
    world = World(max_runners=1, min_runners=1)
    world.deaf_next = 1
    world.play()
    world.kill()
    world.start()
    world.queue(1)
    world.advance(180)

    assert (len(world.started), world.working()) == (2, world.started[1:])


def test_a_runner_that_is_connected_is_not_doubted() -> None:
    world = World(max_runners=2, min_runners=2)
    world.play()
    before = {slot.runner for slot in world.status().slots}
    world.advance(900)

    assert {slot.runner for slot in world.status().slots} == before
    assert world.status().state is SetState.OK
