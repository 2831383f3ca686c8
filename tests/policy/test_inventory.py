"""docs/behaviour.md § 6.5: what a list of resources has to repair."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import MAX_RUNNERS, NOW, beliefs, listings

from runscaler.names import RunnerName, SlotNumber
from runscaler.policy.inventory import Believed, Listed, Repairs, reconcile
from runscaler.policy.lifecycle import SlotState

ONE, TWO = SlotNumber(1), SlotNumber(2)
RUNNER = RunnerName("runner-00000000")
LISTED = Listed("id-0", RUNNER, ONE, running=True)
IDLE = Believed(ONE, SlotState.IDLE, RUNNER, "id-0", NOW - 1)
STARTING = Believed(ONE, SlotState.STARTING, RUNNER, "", NOW - 1)
EMPTY = Believed(ONE, SlotState.EMPTY, None, "", NOW - 1)


def repairs(
    listed: list[Listed], believed: list[Believed], unclear: list[SlotNumber] | None = None
) -> Repairs:
    return reconcile(NOW, listed, believed, MAX_RUNNERS, unclear or ())


# -- laws -----------------------------------------------------------------------------------------


@given(listings(), beliefs())
def test_no_resource_is_adopted_twice_and_no_slot_used_twice(
    listed: list[Listed], believed: list[Believed]
) -> None:
    adopt = repairs(listed, believed).adopt
    taken = [one.slot for one in believed if one.state is not SlotState.EMPTY]

    assert len({one.resource_id for one, _ in adopt}) == len(adopt)
    assert len({*taken, *(slot for _, slot in adopt)}) == len(taken) + len(adopt)


@given(listings(), beliefs())
def test_only_what_nobody_knows_is_adopted_and_all_of_it_but_of_slots_that_changed(
    listed: list[Listed], believed: list[Believed]
) -> None:
    known = {one.resource_id for one in believed} | {one.runner for one in believed}
    changed = {one.slot for one in believed if one.changed_at >= NOW}
    unknown = {one for one in listed if one.resource_id not in known and one.runner not in known}
    surplus_changed = any(slot >= MAX_RUNNERS for slot in changed)

    assert {one for one, _ in repairs(listed, believed).adopt} == {
        one for one in unknown if one.slot not in changed and not surplus_changed
    }


@given(listings(), beliefs())
def test_an_adopted_resource_goes_to_its_own_slot_or_beyond_max_runners(
    listed: list[Listed], believed: list[Believed]
) -> None:
    for one, slot in repairs(listed, believed).adopt:
        assert slot >= MAX_RUNNERS or slot == one.slot


@given(listings(), beliefs())
def test_surplus_slots_are_the_lowest_that_are_free(listed: list[Listed], believed: list[Believed]) -> None:
    used = {slot for _, slot in repairs(listed, believed).adopt if slot >= MAX_RUNNERS}
    taken = {one.slot for one in believed if one.state is not SlotState.EMPTY}

    assert all(number in used | taken for number in range(MAX_RUNNERS, max(used, default=0)))


@given(listings(), beliefs(), st.sets(st.integers(0, MAX_RUNNERS + 2).map(SlotNumber)))
def test_slots_that_changed_after_the_listing_began_are_left_alone(
    listed: list[Listed], believed: list[Believed], unclear: set[SlotNumber]
) -> None:
    made = reconcile(NOW, listed, believed, MAX_RUNNERS, unclear)
    changed = {one.slot for one in believed if one.changed_at >= NOW}

    assert not changed & {*made.ended, *made.lost, *(slot for _, slot in made.found)}
    assert not changed & {one.slot for one, _ in made.adopt}


@given(listings(), beliefs(), st.sets(st.integers(0, MAX_RUNNERS).map(SlotNumber)), st.data())
def test_the_order_of_the_list_does_not_matter(
    listed: list[Listed], believed: list[Believed], unclear: set[SlotNumber], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(listed))

    assert reconcile(NOW, shuffled, believed, MAX_RUNNERS, unclear) == reconcile(
        NOW, listed, believed, MAX_RUNNERS, unclear
    )


@given(listings(), beliefs())
def test_a_slot_has_ended_when_its_resource_is_not_seen_running_and_it_is_not_yet_being_removed(
    listed: list[Listed], believed: list[Believed]
) -> None:
    running = {one.resource_id for one in listed if one.running}
    settled = [one for one in believed if one.changed_at < NOW and one.resource_id]

    assert repairs(listed, believed).ended == tuple(
        one.slot for one in settled if one.state is not SlotState.REMOVING and one.resource_id not in running
    )


def test_what_left_a_surplus_slot_after_the_listing_began_is_not_brought_back() -> None:
    surplus = Believed(SlotNumber(MAX_RUNNERS), SlotState.EMPTY, None, "", NOW + 1)

    assert repairs([LISTED], [surplus]).adopt == ()


def repaired(made: Repairs, believed: list[Believed]) -> list[Believed]:
    """The slots after the scale set has done what it should: it changed them just now."""
    adopted = [
        Believed(
            slot,
            SlotState.ADOPTED if one.running else SlotState.REMOVING,
            one.runner,
            one.resource_id,
            NOW + 1,
        )
        for one, slot in made.adopt
    ]
    ended = [
        replace(one, state=SlotState.REMOVING, changed_at=NOW + 1)
        for one in believed
        if one.slot in made.ended
    ]
    new = {one.slot: one for one in (*adopted, *ended)}
    return [*new.values(), *(one for one in believed if one.slot not in new)]


@given(listings(), beliefs())
def test_a_list_that_comes_twice_repairs_nothing_more(listed: list[Listed], believed: list[Believed]) -> None:
    assert repairs(listed, repaired(repairs(listed, believed), believed)) == Repairs()


# -- cases ----------------------------------------------------------------------------------------


def test_what_is_as_believed_needs_no_repair() -> None:
    assert repairs([LISTED], [IDLE]) == Repairs()


def test_after_a_restart_everything_is_adopted_into_its_slot() -> None:
    other = replace(LISTED, resource_id="id-1", runner=RunnerName("runner-00000001"), slot=TWO)

    assert repairs([LISTED, other], []).adopt == ((LISTED, ONE), (other, TWO))


def test_a_resource_whose_slot_is_taken_goes_to_a_surplus_slot() -> None:
    taken = replace(IDLE, runner=RunnerName("runner-00000001"), resource_id="id-1")
    other = replace(LISTED, resource_id="id-1", runner=RunnerName("runner-00000001"))

    assert repairs([LISTED, other], [taken]).adopt == ((LISTED, MAX_RUNNERS),)


def test_a_resource_beyond_a_lowered_max_runners_goes_to_a_surplus_slot() -> None:
    beyond = replace(LISTED, slot=SlotNumber(MAX_RUNNERS + 5))

    assert repairs([beyond], []).adopt == ((beyond, MAX_RUNNERS),)


def test_of_two_resources_of_one_slot_the_running_one_gets_it() -> None:
    ended = replace(LISTED, resource_id="id-1", runner=RunnerName("runner-00000001"), running=False)

    assert repairs([ended, LISTED], []).adopt == ((LISTED, ONE), (ended, MAX_RUNNERS))


def test_a_runner_whose_start_has_not_reported_yet_is_not_adopted_beside_it() -> None:
    assert repairs([LISTED], [STARTING]) == Repairs()


def test_a_runner_that_was_removed_while_the_list_was_made_is_not_adopted_again() -> None:
    assert repairs([LISTED], [replace(EMPTY, changed_at=NOW + 1)]) == Repairs()
    assert repairs([LISTED], [EMPTY]).adopt == ((LISTED, ONE),)


def test_a_runner_that_was_replaced_while_the_list_was_made_is_not_adopted_beside_its_successor() -> None:
    successor = Believed(ONE, SlotState.WAITING, RunnerName("runner-00000001"), "", NOW + 1)

    assert repairs([LISTED], [successor]) == Repairs()


@pytest.mark.parametrize("listed", [[], [replace(LISTED, running=False)]])
def test_a_resource_that_vanished_or_stopped_has_ended(listed: list[Listed]) -> None:
    assert repairs(listed, [IDLE]) == Repairs(ended=(ONE,))


def test_a_resource_that_is_being_removed_is_waited_for_not_mourned() -> None:
    assert repairs([], [replace(IDLE, state=SlotState.REMOVING)]) == Repairs()


def test_an_unclear_start_is_found_when_its_runner_is_listed_and_lost_when_not() -> None:
    assert repairs([LISTED], [STARTING], [ONE]) == Repairs(found=((LISTED, ONE),))
    assert repairs([], [STARTING], [ONE]) == Repairs(lost=(ONE,))


def test_an_unclear_start_is_judged_only_by_a_list_that_began_after_it() -> None:
    assert repairs([], [replace(STARTING, changed_at=NOW)], [ONE]) == Repairs()
