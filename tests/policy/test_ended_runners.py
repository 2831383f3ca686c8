"""What an ended runner was: the two tables, walked as a whole (docs/behaviour.md § 5.2, 5.3)."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.policy.ended_runners import (
    FIRST,
    NEXT,
    WAIT_SECONDS,
    WAITS,
    Evidence,
    Exit,
    Outcome,
    classify,
    reconsider,
)
from runscaler.policy.lifecycle import SlotState

MESSAGES = (Evidence.JOB_STARTED, Evidence.JOB_COMPLETED)
TIMES = (Evidence.TIME_UP, Evidence.TIME_UP_UNSERVED)


def test_every_end_has_an_outcome_and_every_outcome_an_answer_to_every_evidence() -> None:
    assert set(FIRST) == set(product(SlotState, Exit))
    assert set(NEXT) == set(product(Outcome, Evidence))


def test_only_an_idle_runner_that_did_not_end_clean_is_a_failure_at_once() -> None:
    failed = [pair for pair, outcome in FIRST.items() if outcome is Outcome.FAILED]

    assert failed == [(SlotState.IDLE, Exit.FAILED)]


@pytest.mark.parametrize("state", [SlotState.BUSY, SlotState.ADOPTED])
@pytest.mark.parametrize("ended", Exit)
def test_a_runner_with_a_job_is_no_failure_however_it_ended(state: SlotState, ended: Exit) -> None:
    assert classify(state, ended) is Outcome.HAD_JOB


def test_a_clean_end_of_an_idle_runner_is_taken_for_the_end_of_a_job_at_first() -> None:
    assert classify(SlotState.IDLE, Exit.CLEAN_YOUNG) is Outcome.PROBABLY_HAD_JOB
    assert classify(SlotState.IDLE, Exit.CLEAN) is Outcome.UNREGISTERED


@pytest.mark.parametrize(
    "state", [SlotState.STARTING, SlotState.FINISHING, SlotState.RETIRING, SlotState.REMOVING]
)
def test_of_a_runner_that_was_on_its_way_in_or_out_nothing_is_expected(state: SlotState) -> None:
    assert {classify(state, ended) for ended in Exit} == {Outcome.SETTLED}


def test_a_young_clean_end_without_a_message_becomes_a_failure_in_two_steps() -> None:
    first = reconsider(Outcome.PROBABLY_HAD_JOB, Evidence.TIME_UP)

    assert first is Outcome.UNPROVEN
    assert reconsider(first, Evidence.TIME_UP) is Outcome.FAILED
    assert WAITS[Outcome.PROBABLY_HAD_JOB] + WAITS[Outcome.UNPROVEN] == WAIT_SECONDS


def test_a_clean_end_long_after_the_start_is_never_a_failure() -> None:
    assert {reconsider(Outcome.UNREGISTERED, one) for one in TIMES} == {Outcome.SETTLED}


def test_no_failure_is_counted_while_github_could_not_tell_of_the_job() -> None:
    reached = {reconsider(one, Evidence.TIME_UP_UNSERVED) for one in Outcome if one is not Outcome.FAILED}

    assert Outcome.FAILED not in reached


@pytest.mark.parametrize("outcome", Outcome)
def test_a_completed_job_settles_everything(outcome: Outcome) -> None:
    assert reconsider(outcome, Evidence.JOB_COMPLETED) is Outcome.SETTLED


@pytest.mark.parametrize("outcome", [Outcome.PROBABLY_HAD_JOB, Outcome.UNREGISTERED, Outcome.UNPROVEN])
def test_a_started_job_proves_that_there_was_one(outcome: Outcome) -> None:
    assert reconsider(outcome, Evidence.JOB_STARTED) is Outcome.HAD_JOB


def test_a_job_that_is_never_completed_leaves_a_registration_in_doubt() -> None:
    assert {reconsider(Outcome.HAD_JOB, one) for one in TIMES} == {Outcome.UNCONFIRMED}
    assert [pair[0] for pair, after in NEXT.items() if after is Outcome.UNCONFIRMED] == [
        *[Outcome.HAD_JOB] * 2,
        *[Outcome.UNCONFIRMED] * 3,
    ]


@pytest.mark.parametrize("outcome", [one for one in Outcome if one not in WAITS])
def test_time_alone_changes_nothing_where_no_message_is_waited_for(outcome: Outcome) -> None:
    assert {reconsider(outcome, one) for one in TIMES} == {outcome}


@given(st.sampled_from(Outcome), st.lists(st.sampled_from(MESSAGES), max_size=6))
def test_repeated_messages_are_as_if_they_came_once(outcome: Outcome, messages: list[Evidence]) -> None:
    once = outcome
    for one in messages:
        once = reconsider(once, one)
    twice = outcome
    for one in messages:
        twice = reconsider(reconsider(twice, one), one)

    assert once is twice


@given(st.sampled_from(Outcome))
def test_every_wait_ends(outcome: Outcome) -> None:
    for _ in range(len(Outcome)):
        outcome = reconsider(outcome, Evidence.TIME_UP)

    assert outcome not in WAITS
