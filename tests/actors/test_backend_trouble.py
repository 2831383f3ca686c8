"""The backend goes, comes back, and refuses single calls (docs/behaviour.md § 8.5)."""

from __future__ import annotations

from dataclasses import replace

from support.world import World

from runscaler.errors import BackendDown, BackendError, ImageMissing, StartFailed
from runscaler.names import RunnerName, SlotNumber
from runscaler.status import SetState, Unmet


def test_a_set_whose_backend_is_down_says_so_and_goes_on_by_itself() -> None:
    world = World(max_runners=2)
    world.play()
    world.backend.engine.down("cannot connect to the engine")
    world.queue(2)
    world.play()

    status = world.status()
    assert (status.state, status.total) == (SetState.DEGRADED, 0)
    assert "cannot connect to the engine" in status.reason
    assert [(one.reason, one.count) for one in status.unmet] == [(Unmet.BACKEND_DOWN, 2)]

    world.backend.engine.up()
    world.play()
    assert world.states() == ["busy", "busy"]
    assert world.status().state is SetState.OK


def test_what_ended_while_it_was_down_is_found_when_it_is_back() -> None:
    world = World(max_runners=2)
    world.queue(2)
    world.play()
    world.backend.engine.down("restarting")
    world.play()
    gone, stays = world.working()
    world.backend.engine.discard(world.running[gone].id)
    world.github.lease_over(world.running.pop(gone).runner_id)
    world.play()

    world.advance(1)
    world.backend.engine.up()
    world.play()
    assert [slot.runner for slot in world.status().slots] == [stays]


def test_nothing_is_started_before_it_is_known_what_an_engine_that_is_back_has() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    (known,) = world.resources()
    world.backend.engine.down("restarting")
    world.queue(3)
    world.play()

    # A start whose answer was lost: the undoing of it failed as well.
    left = replace(known, id="left", runner=RunnerName("runner-left"), slot=SlotNumber(1), runner_id=0)
    world.backend.engine.add(left)
    world.advance(1)
    world.backend.engine.up()
    world.play()

    assert world.backend.engine.peak == 2


def test_a_start_with_a_backend_that_is_down_waits_for_it() -> None:
    world = World(max_runners=2)
    world.kill()
    world.backend.engine.down("not yet")
    world.start()
    world.queue(1)
    world.advance(300)
    assert world.status().state is SetState.DEGRADED

    world.backend.engine.up()
    world.play()
    assert world.states() == ["busy"]


def test_a_list_that_fails_means_nothing_about_the_runners() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    for _ in range(3):
        world.backend.fail_next("inventory", BackendError("500 from the engine"))
    world.advance(31)
    assert world.states() == ["busy"]
    assert world.status().state is SetState.DEGRADED

    world.advance(20)
    assert (world.states(), world.status().state) == (["busy"], SetState.OK)


def test_an_image_that_cannot_be_had_holds_starts_up_until_it_comes() -> None:
    world = World(max_runners=2)
    world.kill()
    for _ in range(3):
        world.backend.fail_next("prepare", ImageMissing("no such image: runner:1"))
    world.start()
    world.queue(1)
    world.play()
    status = world.status()
    assert status.state is SetState.DEGRADED
    assert "no such image" in status.reason
    assert [one.reason for one in status.unmet] == [Unmet.PAUSED]

    world.advance(20)
    assert world.states() == ["busy"]
    assert world.status().state is SetState.OK


def test_a_removal_is_tried_until_it_succeeds() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    for _ in range(10):
        world.backend.fail_next("remove", BackendError("device or resource busy"))
    (runner,) = world.working()
    world.finish(runner, ends=False)
    world.advance(60)
    assert world.states() == ["removing"]

    world.advance(200)
    assert (world.states(), world.resources()) == ([], [])


def test_an_ended_runner_that_cannot_be_removed_holds_no_slot_and_is_shown() -> None:
    world = World(max_runners=2)
    world.queue(3)
    world.play()
    for _ in range(1000):
        world.backend.fail_next("remove", BackendError("500 from the engine"))
    world.finish(world.working()[0])
    world.advance(5)
    assert len(world.working()) == 2
    status = world.status()
    assert status.state is SetState.DEGRADED
    assert status.reason == "an ended runner cannot be removed yet: 500 from the engine"

    world.finish_all()
    world.advance(5)
    assert world.status().reason.startswith("3 ended runners cannot be removed yet")
    world.queue(1)
    world.advance(5)
    (unmet,) = world.status().unmet
    assert (world.working(), unmet.reason, unmet.count) == ([], Unmet.PAUSED, 1)


def test_what_could_not_be_removed_goes_as_soon_as_the_backend_answers_again() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    for _ in range(6):
        world.backend.fail_next("remove", BackendError("500 from the engine"))
    world.finish_all()
    world.advance(40)
    assert (world.states(), len(world.resources())) == ([], 1)

    world.backend.engine.down("away")
    world.play()
    world.backend.engine.up()
    world.play()
    assert world.resources() == []
    world.advance(1)
    assert world.status().state is SetState.OK


def test_a_leftover_is_no_runner_of_the_next_process_either() -> None:
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    for _ in range(1000):
        world.backend.fail_next("remove", BackendError("500 from the engine"))
    world.finish_all()
    world.advance(31)
    world.kill()
    world.start()
    world.advance(40)
    assert world.states() == []
    assert "cannot be removed yet" in world.status().reason


def test_starts_that_fail_back_off_and_leave_no_registration() -> None:
    world = World(max_runners=1)
    for _ in range(3):
        world.backend.fail_next("start", StartFailed("no space left on device"))
    world.queue(1)
    world.play()
    assert [one.reason for one in world.status().unmet] == [Unmet.BACKOFF]
    assert not world.github.runners

    world.advance(15)
    assert world.states() == ["busy"]
    assert world.status().counters.runners_failed == 3


def test_many_starts_that_fail_together_are_one_failure() -> None:
    world = World(max_runners=20)
    for _ in range(20):
        world.backend.fail_next("start", StartFailed("no space left on device"))
    world.queue(20)
    world.play()
    assert world.status().state is SetState.OK
    world.advance(2)
    assert world.states() == ["busy"] * 20


def test_five_failed_starts_in_a_row_degrade_the_set() -> None:
    world = World(max_runners=1)
    for _ in range(6):
        world.backend.fail_next("start", StartFailed("no space left on device"))
    world.queue(1)
    world.advance(20)
    assert world.status().state is SetState.DEGRADED
    assert "no space left" in world.status().reason

    world.advance(90)
    assert (world.states(), world.status().state) == (["busy"], SetState.OK)


def test_output_that_cannot_be_read_does_not_hold_up_the_removal() -> None:
    world = World(max_runners=1, min_runners=1)
    world.play()
    world.backend.fail_next("logs", BackendDown("reset by peer"))
    world.end(world.status().slots[0].runner, 1)
    world.play()
    assert world.resources() == []


def test_a_backend_that_cannot_tell_whether_a_job_runs_is_asked_again() -> None:
    world = World(max_runners=1, idle_timeout=10.0)
    world.agents_connect = False
    (job,) = world.queue(1)
    world.play()
    world.github.cancel(job)
    world.backend.fail_next("runs_a_job", BackendError("top failed"))
    world.advance(15)
    assert world.states() == ["retiring"]

    world.advance(60)
    assert (world.states(), world.resources()) == ([], [])


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
