"""Runners that end before they had a job (docs/behaviour.md § 5.2 to 5.4)."""

from __future__ import annotations

from typing import Any

import pytest
from support.newer_images import NewerImages
from support.world import World

from runscaler.actors.listener import ListenerActor
from runscaler.backends.memory import MemoryBackend
from runscaler.status import SetState, Unmet


def waiting_world(**options: Any) -> World:
    """Jobs are assigned, but no agent ever connects to take them."""
    world = World(max_runners=1, **options)
    world.agents_connect = False
    world.queue(1)
    world.play()
    return world


def fail_one(world: World, exit_code: int = 1) -> None:
    world.end(world.status().slots[0].runner, exit_code)
    world.play()


def test_one_that_fails_is_deregistered_counted_and_replaced() -> None:
    world = waiting_world()
    fail_one(world)
    assert (world.states(), world.status().counters.runners_failed) == ([], 1)
    assert not world.github.runners

    world.advance(2)
    assert world.states() == ["idle"]
    assert len(world.started) == 2


def test_starts_back_off_doubling() -> None:
    world = waiting_world()
    for least in (0.5, 1.0, 2.0, 4.0):
        started = len(world.started)
        fail_one(world)
        world.clock.advance(least * 0.9)
        world.play()
        assert len(world.started) == started
        assert [one.reason for one in world.status().unmet] == [Unmet.BACKOFF]
        world.advance(2 * least + 0.2)
        assert len(world.started) == started + 1


def test_five_in_a_row_degrade_the_set_with_the_reason_and_a_job_heals_it() -> None:
    world = waiting_world()
    for _ in range(5):
        fail_one(world)
        world.advance(20)
    status = world.status()
    assert status.state is SetState.DEGRADED
    assert "exit code 1" in status.reason

    world.agents_connect = True
    world.advance(60)
    assert world.status().state is SetState.OK


def test_a_degraded_set_tries_one_runner_a_pause_until_a_job_heals_it() -> None:
    world = World(max_runners=20)
    world.agents_connect = False
    world.queue(20)
    world.play()
    for runner in list(world.running):
        world.end(runner, 7)
    world.play()
    assert world.status().state is SetState.DEGRADED

    for tried in range(1, 4):
        while len(world.started) < 20 + tried:
            world.advance(1)
        world.advance(5)
        assert len(world.started) == 20 + tried, "it is up, and yet proves nothing"
    assert {one.reason for one in world.status().unmet} == {Unmet.BACKOFF}

    world.agents_connect = True
    world.play()
    assert world.status().busy == 20


def test_that_failing_runners_degrade_the_set_is_said_once(log_lines: list[str]) -> None:
    world = waiting_world()
    for _ in range(9):
        fail_one(world)
        world.advance(70)

    assert len([line for line in log_lines if "degraded" in line]) == 1
    assert world.status().state is SetState.DEGRADED


def test_a_young_one_that_ends_with_zero_is_a_failure_once_no_job_was_heard_of() -> None:
    world = waiting_world()
    fail_one(world, exit_code=0)
    assert world.status().counters.runners_failed == 0
    world.advance(11)
    assert world.status().counters.runners_failed == 1


def test_an_old_one_that_ends_with_zero_lost_its_registration_and_is_no_failure() -> None:
    world = waiting_world()
    world.advance(31)
    fail_one(world, exit_code=0)
    world.advance(11)
    assert world.status().counters.runners_failed == 0
    assert world.states() == ["idle"]


def test_one_that_ended_with_zero_and_had_a_job_is_no_failure() -> None:
    """The container's end is seen before GitHub's word about the job."""
    world = World(max_runners=1)
    world.queue(1)
    world.deliver()
    world.poll()
    world.deliver()
    world.live_agents()
    world.finish_all()
    world.deliver()
    world.play()
    world.advance(20)

    status = world.status()
    assert (status.counters.jobs_started, status.counters.jobs_completed, status.counters.runners_failed) == (
        1,
        1,
        0,
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"exit_code": 137, "out_of_memory": True}, "out of memory"),
        ({"exit_code": None, "signal": 9}, "signal 9"),
    ],
)
def test_the_reason_says_how_it_ended(how: dict[str, int], words: str) -> None:
    world = waiting_world()
    for _ in range(5):
        world.end(world.status().slots[0].runner, **how)  # type: ignore[arg-type]
        world.play()
        world.advance(20)
    assert words in world.status().reason


def test_the_output_of_a_failed_runner_is_kept() -> None:
    world = waiting_world()
    runner = world.status().slots[0].runner
    world.backend.engine.write(world.running[runner].id, b"cannot reach the proxy\n")
    fail_one(world)
    assert world.state_store.outputs == {runner: b"cannot reach the proxy\n"}


def test_one_that_somebody_removed_is_replaced_within_seconds() -> None:
    world = waiting_world()
    world.vanish(world.status().slots[0].runner)
    world.advance(2)
    assert world.states() == ["idle"]
    assert len(world.github.runners) == 1


def test_the_same_place_is_used_again_and_never_the_same_name() -> None:
    world = waiting_world()
    for _ in range(4):
        fail_one(world)
        world.advance(20)
    assert len(set(world.started)) == len(world.started) == 5
    assert {slot.slot for slot in world.status().slots} == {0}


def test_where_the_output_is_kept_is_said_too_of_one_that_is_found_a_failure_later(
    log_lines: list[str],
) -> None:
    world = waiting_world()
    runner = world.status().slots[0].runner
    world.backend.engine.write(world.running[runner].id, b"too old\n")
    fail_one(world, exit_code=0)
    world.advance(11)

    (line,) = [line for line in log_lines if f"{runner} ended before a job" in line]
    assert "its last line of output: too old; its last output is kept in" in line


def test_the_reason_of_a_runner_that_failed_at_once_holds_its_last_line_of_output(
    log_lines: list[str],
) -> None:
    world = waiting_world()
    for _ in range(5):
        runner = world.status().slots[0].runner
        world.backend.engine.write(world.running[runner].id, b"starting\nexec /bin/agent: format error\n")
        fail_one(world, exit_code=1)
        world.advance(20)

    (line,) = [line for line in log_lines if line.startswith(f"{runner} ended before a job")]
    assert "its last line of output: exec /bin/agent: format error" in line
    assert "its last line of output: exec /bin/agent: format error" in world.status().reason


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


# -- GitHub refuses the runner's version ---------------------------------------------------------------


def refused(world: World) -> list[str]:
    """The scale sets for which the backend was told of a refusal."""
    assert isinstance(world.backend, NewerImages)
    return world.backend.refused


def test_a_refused_version_lets_a_newer_image_be_looked_for(log_lines: list[str]) -> None:
    world = waiting_world(backend=NewerImages)
    fail_one(world, exit_code=7)

    assert refused(world) == ["linux"]
    (line,) = [one for one in log_lines if "looking for a newer image" in one]
    assert line.startswith("GitHub refuses the runner in ghcr.io/")


def test_what_only_may_be_a_refusal_is_looked_into_once_it_is_a_failure() -> None:
    """The runner ended with 0 at once, and GitHub still has its registration: it had no job."""
    world = waiting_world(backend=NewerImages)
    fail_one(world, exit_code=0)
    before = refused(world).copy()
    world.advance(11)

    assert (before, refused(world)) == ([], ["linux"])


@pytest.mark.parametrize("exit_code", [1, 143])
def test_another_end_is_no_refusal(exit_code: int) -> None:
    world = waiting_world(backend=NewerImages)
    fail_one(world, exit_code)
    world.advance(30)

    assert refused(world) == []


class NotNow(NewerImages):
    looks = False


@pytest.mark.parametrize("backend", [NotNow, MemoryBackend])
def test_a_backend_that_does_not_look_now_or_has_no_images_says_nothing(
    backend: type[MemoryBackend], log_lines: list[str]
) -> None:
    world = waiting_world(backend=backend)
    fail_one(world, exit_code=7)

    assert not any("looking for a newer image" in line for line in log_lines)
