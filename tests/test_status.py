from __future__ import annotations

import pytest

from runscaler.status import Counters


def test_counters_grow_in_a_copy() -> None:
    counters = Counters(jobs_started=2, jobs_completed=1)

    assert counters.plus(jobs_started=1, runners_failed=3) == Counters(
        jobs_started=3, jobs_completed=1, runners_failed=3
    )
    assert counters == Counters(jobs_started=2, jobs_completed=1)


def test_an_unknown_counter_is_refused() -> None:
    with pytest.raises(AttributeError):
        Counters().plus(runner_started=1)
