from __future__ import annotations

import pytest

from runscaler.status import Counters, SetState, state_in_words


def test_counters_grow_in_a_copy() -> None:
    counters = Counters(jobs_started=2, jobs_completed=1)

    assert counters.plus(jobs_started=1, runners_failed=3) == Counters(
        jobs_started=3, jobs_completed=1, runners_failed=3
    )
    assert counters == Counters(jobs_started=2, jobs_completed=1)


def test_an_unknown_counter_is_refused() -> None:
    with pytest.raises(AttributeError):
        Counters().plus(runner_started=1)


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        (SetState.OK, "", "ok"),
        (SetState.OK, "preparing an-image", "ok, but starts no runner yet: preparing an-image"),
        (SetState.DEGRADED, "no engine", "degraded: no engine"),
    ],
)
def test_a_state_in_words_does_not_contradict_its_reason(state: SetState, reason: str, words: str) -> None:
    assert state_in_words(state, reason) == words
