from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.clock import Clock, SystemClock
from runscaler.errors import Interrupted
from runscaler.interrupt import Interrupt
from runscaler.testing.clock import FakeClock

SECONDS = st.floats(0, 1e6)


@pytest.fixture(params=[SystemClock, FakeClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_monotonic_time_never_goes_back(clock: Clock) -> None:
    times = [clock.monotonic() for _ in range(100)]

    assert times == sorted(times)


def test_a_pause_does_not_begin_if_the_interrupt_is_set(clock: Clock) -> None:
    interrupt = Interrupt()
    interrupt.set()

    with pytest.raises(Interrupted):
        clock.pause(3600.0, interrupt)


def test_a_pause_that_nobody_interrupts_ends(clock: Clock) -> None:
    before = clock.monotonic()
    clock.pause(0.01, Interrupt())

    assert clock.monotonic() > before


@given(SECONDS, st.integers())
def test_jitter_stays_within_its_range(seconds: float, seed: int) -> None:
    assert 0 <= SystemClock(seed).jitter(seconds) <= seconds
    assert 0 <= FakeClock().jitter(seconds) <= seconds


def test_a_seed_makes_jitter_repeatable() -> None:
    one, same, other = SystemClock(seed=1), SystemClock(seed=1), SystemClock(seed=2)
    drawn = [one.jitter(1.0) for _ in range(5)]

    assert drawn == [same.jitter(1.0) for _ in range(5)]
    assert drawn != [other.jitter(1.0) for _ in range(5)]


def test_the_wall_clock_counts_from_the_epoch() -> None:
    microsecond = 1e-6
    before = datetime.now(UTC).timestamp()
    wall = SystemClock().wall()

    assert before <= wall < datetime.now(UTC).timestamp() + microsecond


@given(st.lists(st.integers(0, 1000)))
def test_a_fake_clock_moves_only_by_hand_and_both_its_times_together(steps: list[int]) -> None:
    clock = FakeClock()
    monotonic, wall = clock.monotonic(), clock.wall()
    for seconds in steps:
        clock.advance(float(seconds))

    assert clock.monotonic() - monotonic == clock.wall() - wall == sum(steps)


def test_a_fake_clock_keeps_the_pauses_that_were_asked_for_and_moves_past_them() -> None:
    clock, interrupt = FakeClock(), Interrupt()
    before = clock.monotonic()
    clock.pause(3.0, interrupt)
    clock.pause(4.0, interrupt)

    assert clock.pauses == [3.0, 4.0]
    assert clock.monotonic() == before + 7.0
