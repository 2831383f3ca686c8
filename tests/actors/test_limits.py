"""min-runners and max-runners that a schedule changes (docs/behaviour.md § 4.2, docs/protocol.md § 5.1).

The world begins at 08:00:00 UTC, on a Friday.
"""

from __future__ import annotations

import pytest
from support.solo import Solo
from support.world import ScaleSetActor, World

from runscaler.actors.listener import ListenerActor
from runscaler.actors.messages import AnnounceCapacity, SessionOpened
from runscaler.config.model import ScheduleWindow
from runscaler.errors import BackendError, RateLimited, SessionConflict
from runscaler.simulator.options import Flavour
from runscaler.status import SetState, Unmet

MINUTE = 60.0


def window(cron: str, minutes: float = 5, **limits: int) -> ScheduleWindow:
    return ScheduleWindow(cron=cron, duration=minutes * MINUTE, **limits)


def in_a_minute(**limits: int) -> ScheduleWindow:
    """Open from 08:01 to 08:06."""
    return window("1 8 * * *", **limits)


def open_already(**limits: int) -> ScheduleWindow:
    """Open from 07:58 to 08:03."""
    return window("58 7 * * *", **limits)


def announced(world: World) -> int:
    found = world.github.scale_set("linux")
    assert found is not None
    return found.capacity


def test_a_larger_maximum_is_announced_when_its_window_opens_and_waiting_jobs_start() -> None:
    world = World(max_runners=2, schedule=(in_a_minute(max_runners=5),))
    world.queue(6)
    world.advance(59)
    assert (len(world.working()), announced(world), world.status().max) == (2, 2, 2)

    world.advance(1)

    assert (len(world.working()), announced(world), world.status().max) == (5, 5, 5)
    assert world.status().unmet == ()


def test_a_smaller_maximum_ends_no_job_and_no_slot_above_it_is_used_again() -> None:
    world = World(max_runners=5, schedule=(in_a_minute(max_runners=2),))
    jobs = world.queue(12)
    world.play()
    assert len(world.working()) == 5

    world.advance(60)
    assert (len(world.working()), announced(world), world.status().total) == (5, 2, 5)

    for left in (4, 3, 2, 2, 2):
        world.finish(world.working()[0])
        world.advance(1)
        assert len(world.working()) == left
    assert world.cut_down == []

    world.advance(5 * MINUTE)  # the window has closed
    assert (len(world.working()), announced(world)) == (5, 5)
    world.finish_all()
    world.play()
    world.finish_all()
    assert {job.result for job in jobs} == {"succeeded"}


def test_what_is_wanted_beyond_the_maximum_of_the_window_says_so() -> None:
    world = World(max_runners=5, schedule=(in_a_minute(max_runners=2),))
    world.queue(4)
    world.play()
    world.advance(61)

    (unmet,) = world.status().unmet
    assert (unmet.reason, unmet.count, unmet.detail) == (Unmet.MAX_RUNNERS, 2, "max-runners is 2")


def test_warm_runners_come_when_the_window_opens_and_go_after_it_has_closed() -> None:
    world = World(max_runners=5, idle_timeout=20, schedule=(in_a_minute(min_runners=3),))
    world.advance(59)
    assert world.states() == []

    world.advance(2)
    assert (world.states(), world.status().min) == (["idle"] * 3, 3)

    world.advance(5 * MINUTE)
    world.advance(30)
    assert (world.states(), world.status().min) == ([], 0)


def test_a_start_within_a_window_takes_its_limits(log_lines: list[str]) -> None:
    world = World(max_runners=2, schedule=(open_already(max_runners=4),))
    world.queue(6)
    world.play()

    assert (len(world.working()), announced(world)) == (4, 4)
    assert "min-runners 0, max-runners 4 from now on (schedule, entry 1)\n" in log_lines


def test_each_change_is_logged_once(log_lines: list[str]) -> None:
    world = World(max_runners=2, schedule=(in_a_minute(max_runners=4), in_a_minute(max_runners=3)))
    world.advance(7 * MINUTE)

    assert [line for line in log_lines if "from now on" in line] == [
        "min-runners 0, max-runners 3 from now on (schedule, entry 2)\n",
        "min-runners 0, max-runners 2 from now on\n",
    ]


@pytest.mark.parametrize("kind", [ScaleSetActor, ListenerActor])
def test_an_actor_that_is_restarted_within_a_window_has_its_limits(kind: type) -> None:
    world = World(max_runners=2, schedule=(in_a_minute(max_runners=4),))
    world.queue(3)
    world.advance(61)
    world.crash(kind)
    world.advance(5)
    world.queue(3)
    world.play()

    assert (len(world.working()), announced(world)) == (4, 4)


def test_a_process_that_starts_where_the_maximum_is_smaller_finds_each_runner_in_its_slot() -> None:
    world = World(max_runners=2, schedule=(open_already(max_runners=4),))
    world.queue(4)
    world.advance(200)  # the window has closed
    for runner in world.working()[:3]:
        world.finish(runner)
    world.play()
    world.kill()
    world.start()
    world.play()

    assert [slot.slot for slot in world.status().slots] == [3]
    assert (world.status().total, world.status().max, len(world.working())) == (1, 2, 1)


def test_a_larger_maximum_has_room_beside_ended_runners_that_cannot_be_removed() -> None:
    world = World(max_runners=1, schedule=(in_a_minute(max_runners=3),))
    world.queue(2)
    world.play()
    for _ in range(1000):
        world.backend.fail_next("remove", BackendError("500 from the engine"))
    world.finish_all()
    world.advance(50)
    assert [one.reason for one in world.status().unmet] == [Unmet.PAUSED]

    world.advance(10)

    assert len(world.working()) == 1


def interrupted(world: World) -> bool:
    """Is the listener's call in flight broken off?"""
    (listener,) = world.harness.alive(ListenerActor)
    return listener._interrupt.is_set()


def test_a_poll_in_flight_is_broken_off_when_the_maximum_changes() -> None:
    world = World(max_runners=2, schedule=(in_a_minute(max_runners=4),))
    world.play()
    world.hanging = (ListenerActor,)
    world.advance(59)
    assert not interrupted(world)

    world.advance(1)
    assert interrupted(world)


def test_a_change_of_the_minimum_breaks_nothing_off() -> None:
    world = World(max_runners=2, schedule=(in_a_minute(min_runners=1),))
    world.play()
    world.hanging = (ListenerActor,)

    world.advance(61)
    assert not interrupted(world)


def test_a_call_that_opens_a_session_is_not_broken_off() -> None:
    """GitHub may have opened it, and we would not know its id."""
    world = World(max_runners=1, schedule=(in_a_minute(max_runners=3),))
    world.github.fail_next("open_session", SessionConflict("held", status=409))
    world.play()
    world.hanging = (ListenerActor,)

    world.advance(61)
    assert not interrupted(world)


def test_offers_that_were_left_are_taken_when_there_is_room() -> None:
    world = World(max_runners=1, flavour=Flavour.ACQUIRE, schedule=(in_a_minute(max_runners=3),))
    world.queue(3)
    world.advance(59)
    assert len(world.working()) == 1

    world.advance(2)

    assert len(world.working()) == 3


def test_a_standby_takes_over_with_the_limits_of_then() -> None:
    world = World(max_runners=1, schedule=(in_a_minute(max_runners=3),))
    world.github.fail_next("open_session", SessionConflict("held", status=409), times=2)
    world.queue(3)
    world.advance(61)
    assert world.status().state is SetState.STANDBY

    world.advance(60)

    assert (announced(world), len(world.working())) == (3, 3)


def test_a_clock_that_is_set_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(max_runners=2, schedule=(window("0 12 * * *", 60, max_runners=4),))
    world.play()
    monkeypatch.setattr(world.clock, "wall", lambda: 1_800_000_000.0 + 4 * 3600)

    world.advance(31)

    assert announced(world) == 4


def test_at_its_end_a_scale_set_announces_nothing_any_more() -> None:
    world = World(max_runners=2, schedule=(in_a_minute(max_runners=4),))
    world.queue(1)
    world.play()
    world.advance(50)
    world.shut_down()
    world.advance(15)

    assert world.status().state is SetState.DRAINING
    world.finish_all()
    world.advance(5)
    assert world.ended == [""]


def test_a_new_capacity_does_not_cut_a_wait_that_github_asked_for() -> None:
    solo = Solo()
    solo.github.fail_next("open_session", RateLimited("slow down", retry_after=40.0))
    listener = solo.listener()
    solo.play()

    solo.tell(listener, AnnounceCapacity(3))
    solo.advance(39)
    assert solo.service.names().count("open_session") == 1

    solo.advance(2)
    assert solo.heard(SessionOpened)
