"""Trouble that lasts is said once: what is tried again and again fails in new words each time."""

from __future__ import annotations

import pytest
from support.world import World

from runscaler.errors import GitHubError, Refused, ServerError, Unreachable
from runscaler.github.base import Trouble
from runscaler.status import SetState

MOST_LINES = 6


class NumberedTrouble(ServerError):
    """As GitHub's are: each has a request id of its own."""

    told = 0

    def __str__(self) -> str:
        type(self).told += 1
        return f"GitHub answered 503 (request {self.told})"


@pytest.mark.parametrize("error", [NumberedTrouble("", status=503), Unreachable("connection refused")])
def test_an_outage_of_ten_minutes_with_jobs_that_wait_is_a_few_lines(
    error: GitHubError, log_lines: list[str]
) -> None:
    world = World(max_runners=6, min_runners=2)
    world.play()
    world.queue(1)
    world.github.fail_next("jit_config", error, times=10_000)
    world.github.fail_next("find_runner", error, times=10_000)
    world.github.fail_next("acknowledge", error, times=10_000)
    world.deliver()
    log_lines.clear()
    world.poll()
    world.github.fail_next("poll", error, times=10_000)
    world.advance(600)

    assert world.status().state is SetState.DEGRADED
    assert len(log_lines) <= MOST_LINES, "".join(log_lines)


def test_runners_that_cannot_be_retired_meanwhile_add_none(log_lines: list[str]) -> None:
    world = World(max_runners=6, idle_timeout=60)
    world.agents_connect = False
    jobs = world.queue(6)
    world.play()
    for job in jobs:
        world.github.cancel(job)
    world.play()
    assert world.states() == ["idle"] * 6
    log_lines.clear()
    for call in ("poll", "remove_runner"):
        world.github.fail_next(call, Unreachable("connection refused"), times=10_000)
    world.advance(600)

    assert world.states() == ["retiring"] * 6
    assert len(log_lines) <= MOST_LINES, "".join(log_lines)


def test_the_same_trouble_keeps_the_words_in_which_it_was_said() -> None:
    world = World(max_runners=1)
    world.play()
    for number in range(3):
        error = ServerError(f"503 (request {number})", status=503)
        world.github.report("linux", Trouble.of(error, world.clock.monotonic() + 10))
        world.deliver()
        assert world.status().reason == "503 (request 0)"

    world.github.report("linux", Trouble.of(Refused("400", status=400), world.clock.monotonic() + 10))
    world.deliver()
    assert world.status().reason == "400"


def test_an_outage_that_answers_with_several_errors_of_the_server_is_said_once(log_lines) -> None:
    world = World(max_runners=1)
    world.play()
    for status in (503, 502, 500, 504):
        world.github.fail_next("poll", ServerError(f"GitHub answers {status}", status=status))
    world.play()
    world.advance(120)

    assert [line for line in log_lines if "degraded" in line and "GitHub answers" in line] == [
        line for line in log_lines if "GitHub answers 503" in line
    ]
    assert world.status().state is SetState.OK


def test_a_wrong_clock_is_said_beside_what_degrades_the_scale_set() -> None:
    """Fault F96: it may be the cause of anything."""
    world = World(max_runners=1)
    world.play()
    world.github.clock_skew = -900.0
    world.github.fail_next("poll", ServerError("GitHub answers 503", status=503), times=10_000)
    world.play()
    world.advance(5)

    clock = "this host's clock is 15 min behind GitHub's"
    assert (world.status().state, world.status().reason) == (
        SetState.DEGRADED,
        f"GitHub answers 503 ({clock})",
    )


def test_a_call_that_was_given_up_does_not_make_a_listener_well_that_gets_no_answer() -> None:
    world = World(max_runners=1)
    world.play()
    world.github.fail_next("poll", ServerError("502", status=502), times=10_000)
    world.play()
    world.advance(60)
    world.github.report("linux", Trouble("503", world.clock.monotonic() + 10))
    world.deliver()
    world.github.report("linux", None)
    world.deliver()

    assert (world.status().state, world.status().reason) == (SetState.DEGRADED, "502")
