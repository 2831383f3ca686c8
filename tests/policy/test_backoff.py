from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import JITTERS

from runscaler.policy.backoff import Backoff, RestartIntensity

FAILURES = st.integers(0, 5000)
BACKOFFS = st.builds(Backoff, st.floats(0.001, 100), st.floats(0.001, 10_000))
CRASHES = st.lists(st.integers(0, 300).map(float), min_size=1, max_size=12).map(sorted)


def test_delays_double_from_the_first_to_the_cap() -> None:
    backoff = Backoff(first=1.0, cap=60.0)

    assert [backoff.delay(failures) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("failures", [0, -1])
def test_there_is_no_delay_without_a_failure(failures: int) -> None:
    assert Backoff().delay(failures) == 0.0


@given(BACKOFFS, FAILURES)
def test_one_more_failure_never_shortens_the_delay(backoff: Backoff, failures: int) -> None:
    assert backoff.delay(failures) <= backoff.delay(failures + 1)


@given(BACKOFFS, FAILURES, JITTERS)
def test_no_delay_is_longer_than_the_cap(backoff: Backoff, failures: int, jitter: float) -> None:
    assert 0 <= backoff.delay(failures, jitter) <= backoff.cap


@given(BACKOFFS, FAILURES, JITTERS)
def test_jitter_shortens_the_delay_by_at_most_half(backoff: Backoff, failures: int, jitter: float) -> None:
    full = backoff.delay(failures)

    assert full / 2 <= backoff.delay(failures, jitter) <= full


def test_delays_double_for_five_restarts_and_the_sixth_crash_in_a_minute_gives_up() -> None:
    intensity = RestartIntensity()
    crashes = [float(second) for second in range(6)]

    delays = [intensity.delay(crashes[: count + 1]) for count in range(6)]

    assert delays == [1, 2, 4, 8, 16, None]


def test_the_delays_of_the_restarts_do_not_outlast_the_window() -> None:
    """A child that crashes as soon as it is started is not restarted for ever."""
    intensity, crashes = RestartIntensity(), [0.0]
    while (delay := intensity.delay(crashes)) is not None:
        crashes.append(crashes[-1] + delay)

    assert len(crashes) == 6


def test_a_crash_does_not_count_after_the_window() -> None:
    intensity = RestartIntensity(window=60.0)

    assert intensity.recent([0.0, 0.5, 60.0]) == (0.5, 60.0)
    assert intensity.delay([0.0, 60.0]) == 1.0


@given(CRASHES)
def test_only_more_crashes_than_the_limit_within_the_window_give_up(crashes: list[float]) -> None:
    intensity = RestartIntensity()
    recent = [at for at in crashes if crashes[-1] - at < intensity.window]

    assert (intensity.delay(crashes) is None) == (len(recent) > intensity.limit)


@given(CRASHES)
def test_crashes_that_no_longer_count_can_be_dropped(crashes: list[float]) -> None:
    intensity = RestartIntensity()

    assert intensity.delay(intensity.recent(crashes)) == intensity.delay(crashes)
