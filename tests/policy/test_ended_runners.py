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


def test_a_clean_end_of_an_idle_runner_is_taken_for_the_end_of_a_job_until_github_tells() -> None:
    assert classify(SlotState.IDLE, Exit.CLEAN_YOUNG) is Outcome.UNPROVEN
    assert classify(SlotState.IDLE, Exit.CLEAN) is Outcome.UNREGISTERED


@pytest.mark.parametrize(
    "state", [SlotState.STARTING, SlotState.FINISHING, SlotState.RETIRING, SlotState.REMOVING]
)
def test_of_a_runner_that_was_on_its_way_in_or_out_nothing_is_expected(state: SlotState) -> None:
    assert {classify(state, ended) for ended in Exit} == {Outcome.SETTLED}


@pytest.mark.parametrize("outcome", [Outcome.UNPROVEN, Outcome.DOUBTED])
def test_a_registration_proves_what_a_young_runner_was(outcome: Outcome) -> None:
    assert reconsider(outcome, Evidence.REGISTERED) is Outcome.FAILED
    assert reconsider(outcome, Evidence.UNREGISTERED) is Outcome.PROVEN


def test_an_unproven_runner_is_replaced_after_a_while_and_no_failure_before_there_is_proof() -> None:
    assert reconsider(Outcome.UNPROVEN, Evidence.TIME_UP) is Outcome.DOUBTED
    assert reconsider(Outcome.DOUBTED, Evidence.TIME_UP) is Outcome.DOUBTED
    proofs = [pair for pair, after in NEXT.items() if after is Outcome.FAILED]
    assert {evidence for _, evidence in proofs} == {Evidence.REGISTERED}


def test_a_clean_end_long_after_the_start_is_never_a_failure() -> None:
    reached = {reconsider(Outcome.UNREGISTERED, one) for one in Evidence}

    assert Outcome.FAILED not in reached


def test_a_proven_job_is_no_demand_until_github_s_counts_have_caught_up() -> None:
    assert reconsider(Outcome.PROVEN, Evidence.NEW_COUNTS) is Outcome.SETTLED
    assert {reconsider(Outcome.PROVEN, one) for one in TIMES} == {Outcome.SETTLED}
    assert WAITS[Outcome.PROVEN] < WAITS[Outcome.UNPROVEN] < WAIT_SECONDS


@pytest.mark.parametrize("outcome", Outcome)
def test_a_completed_job_settles_everything(outcome: Outcome) -> None:
    assert reconsider(outcome, Evidence.JOB_COMPLETED) is Outcome.SETTLED


@pytest.mark.parametrize("outcome", [Outcome.UNPROVEN, Outcome.UNREGISTERED, Outcome.DOUBTED])
def test_a_started_job_proves_that_there_was_one(outcome: Outcome) -> None:
    assert reconsider(outcome, Evidence.JOB_STARTED) is Outcome.HAD_JOB


def test_a_job_that_is_never_completed_leaves_a_registration_in_doubt() -> None:
    assert {reconsider(Outcome.HAD_JOB, one) for one in TIMES} == {Outcome.UNCONFIRMED}
    assert reconsider(Outcome.UNCONFIRMED, Evidence.DEREGISTERED) is Outcome.PROVEN


@pytest.mark.parametrize("outcome", [one for one in Outcome if one not in (Outcome.PROVEN, Outcome.SETTLED)])
def test_a_refused_deregistration_binds_the_job_until_the_registration_is_gone(outcome: Outcome) -> None:
    bound = reconsider(outcome, Evidence.REFUSED)

    assert bound is Outcome.BOUND
    assert reconsider(bound, Evidence.DEREGISTERED) is Outcome.PROVEN
    assert {reconsider(bound, one) for one in TIMES} == {Outcome.BOUND}


@pytest.mark.parametrize("outcome", [one for one in Outcome if one not in WAITS])
def test_time_alone_changes_nothing_where_no_message_is_waited_for(outcome: Outcome) -> None:
    after = {reconsider(outcome, one) for one in TIMES}

    assert after == {Outcome.SETTLED if outcome is Outcome.FAILED else outcome}


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
def test_every_wait_ends_with_the_proof(outcome: Outcome) -> None:
    for one in (Evidence.TIME_UP, Evidence.UNREGISTERED, Evidence.DEREGISTERED, Evidence.TIME_UP):
        outcome = reconsider(outcome, one)

    assert outcome not in WAITS
