"""Job messages that come late, twice, in the wrong order, or about nobody (docs/protocol.md § 10.4)."""

from __future__ import annotations

import pytest
from support.world import World

from runscaler import events
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.errors import ServerError
from runscaler.github.messages import JobAvailable, JobCompleted, JobStarted, Statistics
from runscaler.status import SetState


def idle_world(**settings: object) -> tuple[World, str]:
    """A world with one idle runner, and its name."""
    world = World(max_runners=3, min_runners=1, **settings)
    world.play()
    return world, world.status().slots[0].runner


def busy_world() -> tuple[World, str]:
    world = World(max_runners=3)
    world.queue(1)
    world.play()
    return world, world.working()[0]


def test_messages_under_a_new_id_count_no_second_time() -> None:
    world = World(max_runners=3)
    jobs = world.queue(2)
    world.play()
    started = [JobStarted(job.id, runner_name=job.runner_name) for job in jobs]
    world.github.say("linux", *started)
    world.play()
    assert world.states() == ["busy", "busy"]

    completed = [JobCompleted(job.id, runner_name=job.runner_name) for job in jobs]
    world.finish_all()
    world.play()
    world.github.say("linux", *started, *completed, *completed)
    world.advance(30)

    status = world.status()
    assert (status.counters.jobs_started, status.counters.jobs_completed, status.total) == (2, 2, 0)
    assert len(world.started) == 2


def test_what_was_handled_and_not_acknowledged_counts_no_second_time_after_a_crash() -> None:
    world, _ = busy_world()
    world.kill()
    world.start()
    world.play()
    assert world.states() in (["busy"], ["adopted"])

    world.finish_all()
    world.advance(15)
    assert (len(world.started), world.resources()) == (1, [])


def test_a_completion_before_the_start_ends_the_runner() -> None:
    world, runner = idle_world()
    world.github.say("linux", JobCompleted("j", runner_name=runner), JobStarted("j", runner_name=runner))
    world.play()
    assert world.states().count("finishing") == 1

    world.advance(30)
    assert runner not in {slot.runner for slot in world.status().slots}


def test_a_removed_runner_is_never_made_busy_again() -> None:
    world, runner = busy_world()
    world.finish(runner)
    world.play()
    assert world.states() == []

    world.advance(3600)
    world.github.say("linux", JobStarted("another", runner_name=runner))
    world.play()
    assert world.states() == []


def test_a_job_that_goes_on_after_its_completion_is_not_killed() -> None:
    """F46: GitHub says that it runs, so it stays."""
    world, runner = busy_world()
    world.github.say("linux", JobCompleted(world.begun[runner], runner_name=runner, result="succeeded"))
    world.play()
    assert "finishing" in world.states()

    world.advance(11)
    assert "busy" in world.states()
    world.advance(300)
    assert world.cut_down == []

    world.finish(runner)
    world.play()
    assert runner not in {slot.runner for slot in world.status().slots}


def test_a_runner_whose_assignment_was_canceled_takes_another_job() -> None:
    """F45: its first job is gone, the second one's runner is not killed."""
    world, runner = idle_world()
    world.github.say(
        "linux",
        JobStarted("first", runner_name=runner),
        JobCompleted("first", runner_name=runner, result="canceled"),
    )
    world.play()
    world.queue(1)
    world.play()
    world.advance(60)

    assert world.working() == [runner]
    assert world.cut_down == []


@pytest.mark.parametrize("name", ["", "stranger", "\x1b[31mred", "a\nb", "<b>", "x" * 10_000, "🦊"])
def test_words_about_strangers_change_nothing(name: str) -> None:
    world, runner = idle_world()
    world.github.say(
        "linux",
        JobStarted("s", runner_name=name, display_name=name),
        JobCompleted("s", runner_name=name, display_name=name, result=name),
    )
    world.play()

    status = world.status()
    assert [(slot.runner, slot.state) for slot in status.slots] == [(runner, "idle")]
    assert (status.state, status.restarts) == (SetState.OK, 0)


def test_nasty_job_names_are_shown_harmless_and_short() -> None:
    world, runner = idle_world()
    world.github.say("linux", JobStarted("j", runner_name=runner, display_name="\x1b[31m\n" + "x" * 10_000))
    world.play()

    shown = next(slot.job for slot in world.status().slots if slot.runner == runner)
    assert shown.isprintable()
    assert len(shown) <= 81


def test_content_that_cannot_be_read_is_acknowledged_and_counted_by_the_statistics() -> None:
    world = World(max_runners=3)
    world.play()
    world.github.say("linux", problems=("element 3 is not an object",))
    world.queue(2)
    world.play()

    assert world.states() == ["busy", "busy"]
    assert not world.github.scale_set("linux").undeleted  # type: ignore[union-attr]


def test_five_hundred_jobs_are_heard_of_without_a_pause() -> None:
    world = World(max_runners=20)
    world.queue(500)
    world.play()
    assert world.states() == ["busy"] * 20

    for _ in range(25):
        world.finish_all()
        world.play()
    assert world.status().counters.jobs_completed == 500
    assert world.backend.engine.peak == 20


def test_a_batch_that_cannot_be_acknowledged_is_acknowledged_later() -> None:
    world = World(max_runners=3)
    world.play()
    world.github.fail_next("acknowledge", ServerError("502"), times=2)
    world.queue(1)
    world.advance(10)

    assert world.states() == ["busy"]
    assert not world.github.scale_set("linux").undeleted  # type: ignore[union-attr]


def test_only_free_capacity_is_acquired() -> None:
    world = World(max_runners=2)
    world.play()
    world.github.say(
        "linux", *(JobAvailable(f"j{n}", request_id=n, queued_at=float(n)) for n in (5, 4, 3, 0))
    )
    world.play()
    assert world.github.calls["acquire_jobs"] == 1


def test_offers_that_could_not_be_acquired_do_not_stop_the_polls() -> None:
    world = World(max_runners=2)
    world.play()
    world.github.fail_next("acquire_jobs", ServerError("503"), times=2)
    world.github.say("linux", JobAvailable("j", request_id=7))
    world.queue(1)
    world.advance(10)

    assert world.states() == ["busy"]
    assert world.github.calls["acquire_jobs"] == 3


def test_a_withdrawn_assignment_leaks_no_runner() -> None:
    world = World(max_runners=3, idle_timeout=60.0)
    world.agents_connect = False
    (job,) = world.queue(1)
    world.play()
    for _ in range(3):
        world.github.withdraw(job)
        world.advance(2)
    assert len(world.started) == 1

    world.agents_connect = True
    world.play()
    world.finish_all()
    world.advance(90)
    assert world.resources() == []


def test_each_job_is_told_once_to_subscribers() -> None:
    world = World(max_runners=3)
    world.queue(2)
    world.play()
    world.finish_all()
    world.play()

    told = [type(event) for event in world.events]
    assert told.count(events.JobStarted) == told.count(events.JobCompleted) == 2


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
    assert (status.counters.jobs_started, status.counters.jobs_completed) == (1, 1)


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


@pytest.mark.parametrize(("assigned", "asked"), [(1, True), (2, False)])
def test_offers_that_are_counted_and_not_known_are_asked_for_where_there_is_room(
    assigned: int, asked: bool
) -> None:
    """Fault F89."""
    world = World(max_runners=2)
    world.play()
    world.github.believe("linux", Statistics(available=1, assigned=assigned))
    world.github.say("linux", JobCompleted("j"))
    world.advance(60)

    assert (world.github.calls["acquirable_jobs"] > 0) is asked
