"""Who comes in next: each in its turn, and those that let others go first are not forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.net.admission import MOST_OVERTAKEN, Admission, Turn, Visitor

FIRST, USUAL, LATER = Turn
TURNS = st.lists(st.sampled_from(Turn), max_size=60)


def come(admission: Admission, *turns: Turn) -> list[Visitor]:
    visitors = [Visitor(turn) for turn in turns]
    for visitor in visitors:
        admission.come(visitor)
    return visitors


def order_of(admission: Admission, inside: Visitor) -> list[Visitor]:
    """In which order those come in that wait, where there is room for one at once."""
    order = []
    while admitted := admission.leave(inside):
        (inside,) = admitted
        order.append(inside)
    return order


def test_who_came_later_overtakes_those_with_a_later_turn() -> None:
    admission = Admission(1)
    inside, *later = come(admission, USUAL, LATER, LATER)
    usual = come(admission, USUAL, USUAL)
    first = come(admission, FIRST)

    assert order_of(admission, inside) == [*first, *usual, *later]


@given(TURNS)
def test_those_with_the_same_turn_come_in_as_they_came(turns: list[Turn]) -> None:
    admission = Admission(1)
    (inside,) = come(admission, USUAL)
    visitors = come(admission, *turns)

    order = order_of(admission, inside)

    for turn in Turn:
        assert [one for one in order if one.turn is turn] == [one for one in visitors if one.turn is turn]


@given(TURNS)
def test_nobody_waits_for_ever(turns: list[Turn]) -> None:
    admission = Admission(1)
    (inside,) = come(admission, USUAL)
    come(admission, *turns)

    order = order_of(admission, inside)

    last = max((place for place, one in enumerate(order) if one.turn is LATER), default=-1)
    in_a_row = 0
    for one in order[: last + 1]:
        in_a_row = 0 if one.turn is LATER else in_a_row + 1
        assert in_a_row <= MOST_OVERTAKEN


def test_later_ones_leave_room_for_others() -> None:
    admission = Admission(3, most_later=2)
    later = come(admission, LATER, LATER, LATER)

    (other,) = come(admission, USUAL)

    assert [one.inside for one in later] == [True, True, False]
    assert other.inside


def test_others_use_all_the_room() -> None:
    assert all(one.inside for one in come(Admission(3, most_later=1), USUAL, FIRST, USUAL))


def test_who_gives_up_while_waiting_lets_nobody_in_and_is_forgotten() -> None:
    admission = Admission(1)
    inside, gives_up, stays = come(admission, LATER, LATER, LATER)

    assert admission.leave(gives_up) == []
    assert admission.waiting == 1
    assert admission.leave(inside) == [stays]


def test_a_later_one_that_could_not_come_in_anyway_is_not_overtaken() -> None:
    """Its turn is owed to it by those only that took a place which it might have had."""
    admission = Admission(2, most_later=1)
    inside, waits = come(admission, LATER, LATER)
    for _ in range(MOST_OVERTAKEN):
        (other,) = come(admission, USUAL)
        admission.leave(other)
    (other,) = come(admission, USUAL)
    (late,) = come(admission, USUAL)

    assert admission.leave(inside) == [late]
    assert admission.leave(other) == [waits]


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.lists(st.tuples(st.booleans(), st.sampled_from(Turn), st.integers(0, 50)), max_size=80),
)
def test_there_are_never_too_many_inside_and_never_room_for_one_that_waits(
    most: int, most_later: int, steps: list[tuple[bool, Turn, int]]
) -> None:
    admission, present = Admission(most, most_later), []
    for comes, turn, which in steps:
        if comes:
            present += come(admission, turn)
        elif present:
            admission.leave(present.pop(which % len(present)))
        inside = [one for one in present if one.inside]
        waiting = [one for one in present if not one.inside]
        later_inside = sum(one.turn is LATER for one in inside)

        assert len(inside) <= most
        assert later_inside <= most_later
        assert admission.waiting == len(waiting)
        if len(inside) < most:
            assert all(one.turn is LATER for one in waiting)
            assert not waiting or later_inside == most_later


@pytest.mark.parametrize("turn", Turn)
def test_nobody_comes_in_where_there_is_no_room_at_all(turn: Turn) -> None:
    (visitor,) = come(Admission(0), turn)

    assert not visitor.inside
