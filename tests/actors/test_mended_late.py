"""Bugs that faults against the whole program found: each failed before it was mended."""

from __future__ import annotations

import pytest
from support.solo import Solo
from support.world import World

from runscaler.actors.messages import BatchHandled, ListenerTroubled, SessionOpened
from runscaler.actors.runners import DOUBT_SECONDS
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.errors import JobStillRunning, SessionGone
from runscaler.github.messages import JobAvailable, Statistics


def test_offers_beyond_free_capacity_are_acquired_when_there_is_some() -> None:
    """Fault F57: GitHub does not offer them again."""
    world = World(max_runners=3)
    world.play()
    planning = world.harness.alive(ScaleSetActor)[0]._planning
    offers = [JobAvailable(f"job-{number}", request_id=number, queued_at=number) for number in range(1, 9)]

    planning.count(Statistics(available=8))
    assert planning.acquire(3, offers) == (1, 2, 3)

    planning.count(Statistics(available=5, assigned=2))
    assert planning.acquire(3, ()) == (4,)

    planning.count(Statistics())
    planning.acquire(3, ())
    planning.count(Statistics(available=1))
    assert planning.acquire(3, ()) == ()


def test_a_session_that_is_lost_at_every_poll_is_not_opened_anew_all_the_time() -> None:
    """Faults F26 and F65: the second time in a row there is a backoff, and the state says why."""
    solo = Solo()
    solo.listener()
    solo.play()
    solo.github.fail_next("poll", SessionGone("401 again"), times=1000)
    for _ in range(60):
        for _ in solo.heard(SessionOpened):
            solo.tell(solo.harness.actors[-1], BatchHandled(None, ()))
        solo.advance(1)

    assert solo.github.calls["open_session"] <= 9
    assert any(report.trouble for report in solo.heard(ListenerTroubled))


@pytest.mark.parametrize("refusals", [0, 2])
def test_a_runner_that_hangs_after_its_job_goes_when_github_has_agreed(refusals: int) -> None:
    """Fault F85: its worker process still lives, its registration is gone."""
    world = World(max_runners=1)
    world.queue(1)
    world.play()
    runner = world.working()[0]
    resource = world.running[runner]
    world.finish(runner, ends=False)
    world.backend.engine.jobs_running.add(resource.id)
    still = JobStillRunning("a job still runs", status=400)
    world.github.fail_next("remove_runner", still, times=refusals)
    world.play()

    world.advance(25 + refusals * DOUBT_SECONDS)

    assert world.resources() == []
