from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from runscaler.clock import SystemClock
from runscaler.net.deadlines import Deadlines
from runscaler.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 20.0
LONG = 3600.0


@pytest.fixture
def deadlines() -> Iterator[Deadlines]:
    made = Deadlines(SystemClock())
    yield made
    made.close()


def never() -> None:
    raise AssertionError("nothing has to be cancelled")


def test_what_takes_too_long_is_cancelled_from_another_thread(deadlines: Deadlines) -> None:
    cancelled, by = threading.Event(), []

    def cancel() -> None:
        by.append(threading.current_thread())
        cancelled.set()

    with deadlines.limit(0.01, cancel):
        assert cancelled.wait(LIMIT)

    assert by != [threading.current_thread()]


def test_a_deadline_that_comes_first_is_kept_though_it_was_set_last(deadlines: Deadlines) -> None:
    first, second = threading.Event(), threading.Event()

    with deadlines.limit(LONG, never):
        with deadlines.limit(0.01, first.set):
            assert first.wait(LIMIT)  # so that the thread waits for the long one now
        with deadlines.limit(0.01, second.set):
            assert second.wait(LIMIT)


def test_a_deadline_that_comes_later_is_kept_after_an_earlier_one(deadlines: Deadlines) -> None:
    first, second = threading.Event(), threading.Event()

    with deadlines.limit(0.01, first.set), deadlines.limit(0.02, second.set):
        assert first.wait(LIMIT)
        assert second.wait(LIMIT)


def test_what_ended_in_time_is_not_cancelled() -> None:
    clock, later = FakeClock(), threading.Event()
    deadlines = Deadlines(clock)
    with deadlines.limit(10.0, never):
        pass

    clock.advance(20.0)
    with deadlines.limit(0.0, later.set):
        assert later.wait(LIMIT)

    deadlines.close()


def test_closing_ends_the_thread_and_every_deadline() -> None:
    before, deadlines = set(threading.enumerate()), Deadlines(SystemClock())
    with deadlines.limit(LONG, never):
        deadlines.close()

    with deadlines.limit(0.0, never):
        started = set(threading.enumerate()) - before
        assert not any(thread.name == "http-deadlines" for thread in started)


def test_a_deadline_that_cannot_be_cancelled_costs_the_others_nothing(deadlines: Deadlines) -> None:
    cancelled = threading.Event()

    def fail() -> None:
        raise SystemExit("a bug of ours")

    with deadlines.limit(0.0, fail), deadlines.limit(0.01, cancelled.set):
        assert cancelled.wait(30.0)
