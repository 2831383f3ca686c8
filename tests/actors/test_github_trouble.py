"""GitHub in every bad mood (docs/behaviour.md § 8.4)."""

from __future__ import annotations

import pytest
from support.world import World

from runscaler.actors.listener import ListenerActor
from runscaler.actors.messages import BatchReceived
from runscaler.errors import AccessDenied, GitHubError, RateLimited, ServerError, Unreachable
from runscaler.github.base import Trouble
from runscaler.github.messages import Statistics
from runscaler.status import SetState, Unmet


def test_a_second_daemon_stands_by_and_takes_over() -> None:
    world = World(max_runners=2)
    world.play()
    world.kill()
    world.state_store.sessions.clear()
    world.github.hold_session("linux")
    world.start()
    world.queue(1)
    world.play()
    assert world.status().state is SetState.STANDBY
    assert world.started == []

    world.github.end_session("linux")
    world.advance(29)
    assert world.status().state is SetState.STANDBY
    world.advance(17)
    assert world.status().state is SetState.OK
    assert world.states() == ["busy"]


def test_running_jobs_go_on_while_standing_by() -> None:
    world = World(max_runners=2)
    world.queue(2)
    world.play()
    world.github.hold_session("linux")
    world.advance(120)

    assert world.status().state is SetState.STANDBY
    assert (len(world.working()), world.cut_down) == (2, [])


def test_a_session_that_is_over_is_opened_anew() -> None:
    world = World(max_runners=2)
    world.play()
    world.github.end_session("linux")
    world.queue(1)
    world.advance(3)
    assert (world.status().state, world.states()) == (SetState.OK, ["busy"])


def test_a_queue_token_that_is_over_is_refreshed_in_the_same_session() -> None:
    world = World(max_runners=2)
    world.play()
    session = world.github.scale_set("linux").session  # type: ignore[union-attr]
    world.github.expire_queue_token("linux")
    world.queue(1)
    world.play()

    assert world.states() == ["busy"]
    assert world.github.scale_set("linux").session is session  # type: ignore[union-attr]


def test_a_scale_set_that_somebody_deleted_is_created_again() -> None:
    world = World(max_runners=3, min_runners=1)
    world.queue(1)
    world.play()
    busy = world.working()
    (idle,) = set(world.running) - set(busy)
    world.github.delete_scale_set("linux")
    world.end(idle, 0)  # its registration has gone with the scale set
    world.queue(1)
    world.advance(5)

    assert world.status().state is SetState.OK
    assert set(busy) < set(world.working())
    assert world.cut_down == []


def test_a_refused_credential_is_shown_and_tried_again_every_minute() -> None:
    world = World(max_runners=2)
    world.play()
    world.github.fail_next("poll", AccessDenied("403: resource not accessible"), times=2)
    world.queue(1)
    world.play()
    world.advance(1)
    status = world.status()
    assert status.state is SetState.DEGRADED
    assert "403" in status.reason

    world.advance(125)
    assert (world.status().state, world.states()) == (SetState.OK, ["busy"])


def test_a_rate_limit_is_obeyed_and_shown() -> None:
    world = World(max_runners=2)
    world.play()
    world.queue(1)
    world.github.fail_next("poll", RateLimited("secondary rate limit", retry_after=90.0))
    world.play()
    polls = world.github.calls["poll"]
    world.advance(88)
    assert world.github.calls["poll"] == polls
    assert world.status().state is SetState.DEGRADED

    world.advance(3)
    assert (world.status().state, world.states()) == (SetState.OK, ["busy"])


def test_starts_wait_while_github_asks_for_patience() -> None:
    world = World(max_runners=2)
    world.queue(1)
    world.play()
    until = world.clock.monotonic() + 40
    world.github.report("linux", Trouble("slow down", until, rate_limited=True))
    world.queue(1)
    world.play()
    assert [one.reason for one in world.status().unmet] == [Unmet.RATE_LIMIT]

    world.github.report("linux", None)
    world.play()
    assert world.states() == ["busy", "busy"]


@pytest.mark.parametrize("error", [Unreachable("connection reset"), ServerError("502")])
def test_no_runner_is_touched_while_github_is_away(error: GitHubError) -> None:
    world = World(max_runners=3, min_runners=1, idle_timeout=5.0)
    world.queue(2)
    world.play()
    before = {one.id for one in world.resources()}
    world.github.fail_next("poll", error, times=6)
    world.queue(1)
    world.play()
    world.advance(10)
    assert {one.id for one in world.resources()} >= before
    assert world.status().state is SetState.DEGRADED

    world.advance(120)
    assert world.status().state is SetState.OK
    assert len(world.working()) == 3


def test_a_set_that_fails_at_the_start_is_tried_until_it_works() -> None:
    world = World(max_runners=1)
    world.kill()
    world.github.fail_next("find_scale_set", Unreachable("no route to host"), times=8)
    world.start()
    world.queue(1)
    world.advance(5)
    assert world.status().state is SetState.DEGRADED
    world.advance(200)
    assert (world.status().state, world.states()) == (SetState.OK, ["busy"])


def test_counts_that_are_unknown_are_not_zero() -> None:
    world = World(max_runners=3, idle_timeout=10.0)
    world.queue(2)
    world.play()
    listener = world.harness.alive(ListenerActor)[0]
    listener.report(BatchReceived(1, None, (), ()))
    world.deliver()
    assert (world.status().assigned_jobs, len(world.working())) == (2, 2)


def test_counts_that_lie_start_no_more_than_max_and_do_not_flap() -> None:
    """F67: stuck too high."""
    world = World(max_runners=3, idle_timeout=20.0)
    world.play()
    world.github.believe("linux", Statistics(assigned=500))
    world.github.say("linux", problems=("news",))
    world.advance(120)
    assert (world.status().total, len(world.started)) == (3, 3)

    world.github.believe("linux", None)
    world.github.say("linux", problems=("news",))
    world.advance(90)
    assert world.resources() == []


def test_a_burst_in_the_counts_is_no_thrashing() -> None:
    """F69: 0, 500, 0 within a second."""
    world = World(max_runners=4, idle_timeout=60.0)
    world.play()
    for assigned in (500, 0, 500, 0):
        world.github.believe("linux", Statistics(assigned=assigned))
        world.github.say("linux", problems=("news",))
        world.play()
    world.advance(50)
    assert (len(world.started), len(world.resources())) == (4, 4)
    world.advance(30)
    assert world.resources() == []


def test_young_idle_runners_of_a_scale_set_that_somebody_deleted_are_no_failures() -> None:
    """Fault F98: their registrations went with it."""
    world = World(max_runners=6, min_runners=6)
    world.play()
    world.advance(5)
    idle = list(world.running)
    world.github.delete_scale_set("linux")
    for runner in idle:
        world.end(runner, 0)
    world.advance(30)

    status = world.status()
    assert (status.state, status.counters.runners_failed) == (SetState.OK, 0)
    assert sorted(world.states()) == ["idle"] * 6
    assert not set(world.running) & set(idle)
