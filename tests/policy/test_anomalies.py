from __future__ import annotations

import pytest

from runscaler.policy.anomalies import (
    GHOST_SECONDS,
    LASTING_SECONDS,
    MUTE_SECONDS,
    STARVED_SECONDS,
    Absence,
    Starvation,
    contradicts,
    is_mute,
    to_replace,
)


def starved(at: float) -> Starvation:
    return Starvation().seen(at, 1, 1)


def test_no_counts_beside_assigned_jobs_are_a_contradiction() -> None:
    assert contradicts(0, 0, 1)
    assert not contradicts(0, 0, 0)
    assert not contradicts(1, 0, 1)
    assert not contradicts(0, 1, 1)


def test_a_session_is_mute_after_three_polls_and_never_before_the_first() -> None:
    assert not is_mute(1e6, None)
    assert not is_mute(MUTE_SECONDS - 1, 0.0)
    assert is_mute(MUTE_SECONDS, 0.0)


def test_an_absence_is_confirmed_a_minute_later() -> None:
    absence = Absence(0, 1, 100.0)  # type: ignore[arg-type]
    assert not absence.confirmed(100.0 + GHOST_SECONDS - 1)
    assert absence.confirmed(100.0 + GHOST_SECONDS)


@pytest.mark.parametrize(("waiting", "idle"), [(0, 1), (1, 0), (0, 0)])
def test_nobody_starves_without_jobs_that_wait_and_runners_that_are_idle(waiting, idle) -> None:
    assert not starved(0.0).seen(1.0, waiting, idle).calls_for_replacement(1e6, 0.0)


def test_hunger_calls_for_replacement_after_three_minutes_and_some_jitter() -> None:
    hunger = starved(0.0).seen(100.0, 1, 1)
    assert not hunger.calls_for_replacement(STARVED_SECONDS, 1.0)
    assert hunger.calls_for_replacement(STARVED_SECONDS, 0.0)


def test_those_who_replace_the_hungry_get_their_time() -> None:
    hunger = starved(0.0).replaced().seen(200.0, 1, 1)
    assert not hunger.calls_for_replacement(200.0 + STARVED_SECONDS - 1, 0.0)


def test_hunger_that_replacing_does_not_still_is_told_once_and_nobody_is_replaced_any_more() -> None:
    hunger = starved(0.0).replaced().seen(200.0, 1, 1)
    assert not hunger.is_lasting(LASTING_SECONDS - 1)
    assert hunger.is_lasting(LASTING_SECONDS)

    told = hunger.as_logged()
    assert not told.is_lasting(1e6)
    assert not told.calls_for_replacement(1e6, 0.0)
    assert not told.job_started().logged
    assert told.job_started().seen(1e6, 0, 1) == Starvation()


def test_a_quarter_is_replaced_and_at_least_one() -> None:
    assert [to_replace(idle) for idle in (1, 4, 5, 8, 100)] == [1, 1, 2, 2, 25]
