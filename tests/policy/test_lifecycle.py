"""The table of transitions of a slot, walked as a whole (docs/architecture.md § A slot's life)."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import SLOT_EVENTS

from runscaler.policy.lifecycle import (
    COUNTED,
    IGNORE,
    TABLE,
    Effect,
    SlotEvent,
    SlotState,
    Step,
    is_ignored,
    step,
)

PAIRS = list(product(SlotState, SlotEvent))
RESOURCELESS = {SlotState.EMPTY, SlotState.WAITING, SlotState.STARTING}
WITH_RESOURCE = [state for state in SlotState if state not in RESOURCELESS]
SERVING = [state for state in WITH_RESOURCE if state is not SlotState.REMOVING]

WIRE_FACTS = [SlotEvent.JOB_STARTED, SlotEvent.JOB_COMPLETED, SlotEvent.ENDED, SlotEvent.FOUND]
"""Facts that come from outside, and so may come twice."""


def reachable(state: SlotState, without: SlotState | None = None) -> set[SlotState]:
    """Where events can lead from `state`, never passing through `without`."""
    found, new = {state}, {state}
    while new:
        after = {step(one, event).state for one in new for event in SlotEvent}
        new = after - found - {without}
        found |= new
    return found


def test_every_state_has_an_answer_to_every_event() -> None:
    assert set(TABLE) == set(PAIRS)
    assert all(answer is IGNORE or isinstance(answer, Step) for answer in TABLE.values())


def test_no_answer_that_is_not_ignored_keeps_the_state_without_an_effect() -> None:
    idle = [pair for pair, answer in TABLE.items() if answer == Step(pair[0])]

    assert idle == []


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_ignored_is_what_changes_nothing_and_only_that(state: SlotState, event: SlotEvent) -> None:
    assert is_ignored(state, event) == (step(state, event) == Step(state))


@pytest.mark.parametrize("state", SlotState)
def test_from_every_state_a_path_leads_to_empty(state: SlotState) -> None:
    assert SlotState.EMPTY in reachable(state)


def test_every_state_is_reached_from_empty() -> None:
    assert reachable(SlotState.EMPTY) == set(SlotState)


def test_a_slot_that_is_being_removed_can_only_become_empty() -> None:
    assert {step(SlotState.REMOVING, event).state for event in SlotEvent} == {
        SlotState.REMOVING,
        SlotState.EMPTY,
    }


def test_a_removed_runner_is_never_made_busy_again() -> None:
    assert SlotState.BUSY not in reachable(SlotState.REMOVING, without=SlotState.EMPTY)


@pytest.mark.parametrize("event", SlotEvent)
def test_an_empty_slot_is_taken_by_the_planner_or_by_what_is_found_and_by_nothing_else(
    event: SlotEvent,
) -> None:
    left = step(SlotState.EMPTY, event).state is not SlotState.EMPTY

    assert left == (event in (SlotEvent.WANTED, SlotEvent.FOUND))


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_claims_are_released_exactly_when_a_slot_becomes_empty(state: SlotState, event: SlotEvent) -> None:
    answer = step(state, event)
    emptied = state is not SlotState.EMPTY and answer.state is SlotState.EMPTY

    assert emptied == (answer.effect is Effect.RELEASE)


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_a_slot_that_comes_to_removing_has_its_removal_ordered(state: SlotState, event: SlotEvent) -> None:
    answer = step(state, event)
    arrived = state is not SlotState.REMOVING and answer.state is SlotState.REMOVING

    assert arrived == (answer.effect in (Effect.REMOVE, Effect.TERMINATE, Effect.CANCEL))


@pytest.mark.parametrize("state", SERVING)
def test_a_resource_that_ends_is_removed_whatever_it_did(state: SlotState) -> None:
    assert step(state, SlotEvent.ENDED).state is SlotState.REMOVING


@pytest.mark.parametrize("state", [SlotState.STARTING, *SERVING])
def test_a_started_job_makes_any_living_runner_busy(state: SlotState) -> None:
    assert step(state, SlotEvent.JOB_STARTED).state is SlotState.BUSY


@pytest.mark.parametrize("state", [SlotState.STARTING, *SERVING])
def test_a_completed_job_lets_any_living_runner_finish(state: SlotState) -> None:
    assert step(state, SlotEvent.JOB_COMPLETED).state is SlotState.FINISHING


@pytest.mark.parametrize("state", SERVING)
def test_a_living_runner_is_removed_only_with_proof_at_its_end_or_past_a_deadline(state: SlotState) -> None:
    """docs/behaviour.md § 6.2; a failed start proves that nothing lives."""
    killers = {event for event in SlotEvent if step(state, event).state is SlotState.REMOVING}

    assert killers <= {SlotEvent.ENDED, SlotEvent.GRACE_OVER, SlotEvent.OVERDUE, SlotEvent.START_FAILED}


@pytest.mark.parametrize("state", SERVING)
def test_who_may_run_a_job_is_told_to_end_before_it_is_killed(state: SlotState) -> None:
    """docs/behaviour.md § 6.2: force has two steps."""
    forced = step(state, SlotEvent.OVERDUE)

    assert forced.state is not SlotState.REMOVING or forced.effect is Effect.TERMINATE


@pytest.mark.parametrize("state", SlotState)
def test_a_grace_that_is_over_removes_only_who_asked_github_to_go(state: SlotState) -> None:
    removed = step(state, SlotEvent.GRACE_OVER).effect is Effect.REMOVE

    assert removed == (state in (SlotState.RETIRING, SlotState.FINISHING))


@pytest.mark.parametrize("state", [SlotState.RETIRING, SlotState.FINISHING])
def test_a_refusal_turns_a_runner_on_its_way_out_busy(state: SlotState) -> None:
    assert step(state, SlotEvent.REFUSED).state is SlotState.BUSY


def test_finishing_in_time_is_never_enforced_without_asking_github() -> None:
    assert step(SlotState.FINISHING, SlotEvent.OVERDUE) == Step(SlotState.FINISHING, Effect.RETIRE)


@pytest.mark.parametrize(("state", "event"), list(product(SlotState, WIRE_FACTS)))
def test_a_fact_that_comes_twice_is_as_if_it_came_once(state: SlotState, event: SlotEvent) -> None:
    once = step(state, event).state

    assert is_ignored(once, event)


def test_finishing_and_removing_slots_do_not_count_towards_the_target() -> None:
    assert {*SlotState} - COUNTED == {SlotState.EMPTY, SlotState.FINISHING, SlotState.REMOVING}


@given(st.lists(SLOT_EVENTS, max_size=40))
def test_after_any_history_the_slots_end_and_removal_empty_it_or_a_start_is_awaited(
    history: list[SlotEvent],
) -> None:
    state = SlotState.EMPTY
    for event in [*history, SlotEvent.UNWANTED, SlotEvent.ENDED, SlotEvent.GONE]:
        state = step(state, event).state

    assert state is SlotState.EMPTY
