"""A scale set's whole behaviour, without threads: GitHub, the backend and time are in memory."""

from __future__ import annotations

from support.world import World

from runscaler.status import SetState, Unmet


def test_each_job_gets_a_runner_of_its_own_and_nothing_is_left() -> None:
    world = World(max_runners=5)
    world.queue(3)
    world.play()

    assert world.states() == ["busy", "busy", "busy"]

    world.finish_all()
    world.play()

    assert world.resources() == []
    status = world.status()
    assert (status.counters.jobs_started, status.counters.jobs_completed, status.total) == (3, 3, 0)
    assert not world.github.runners


def test_never_more_than_max_runners_and_the_rest_has_a_reason() -> None:
    world = World(max_runners=2, min_runners=1)
    world.queue(5)
    world.play()

    assert world.states() == ["busy", "busy"]
    assert [(one.reason, one.count) for one in world.status().unmet] == [(Unmet.MAX_RUNNERS, 1)]

    for _ in range(5):
        world.finish_all()
        world.play()

    assert world.status().counters.jobs_completed >= 5
    assert world.backend.engine.peak <= 2


def test_min_runners_are_kept_warm_on_top_of_the_jobs() -> None:
    world = World(max_runners=5, min_runners=2)
    world.play()
    assert world.states() == ["idle", "idle"]

    world.queue(1)
    world.play()
    assert sorted(world.states()) == ["busy", "idle", "idle"]


def test_a_surplus_idle_runner_is_retired_after_idle_timeout() -> None:
    world = World(max_runners=5, idle_timeout=60.0)
    world.agents_connect = False
    jobs = world.queue(1)
    world.play()
    world.github.cancel(jobs[0])
    world.play()
    assert world.states() == ["idle"]

    world.advance(59)
    assert world.states() == ["idle"]
    world.advance(2)
    assert world.states() == ["retiring"]
    world.advance(11)
    assert world.states() == []
    assert world.resources() == []


def test_the_scale_set_says_ok_once_it_serves() -> None:
    world = World()
    world.play()
    assert world.status().state is SetState.OK
