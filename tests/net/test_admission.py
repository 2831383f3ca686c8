"""Who comes in next: those that let others go first do so, and are not forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.net.admission import MOST_OVERTAKEN, Admission, Visitor

KINDS = st.lists(st.booleans(), max_size=60)


def come(admission: Admission, *patient: bool) -> list[Visitor]:
    visitors = [Visitor(one) for one in patient]
    for visitor in visitors:
        admission.come(visitor)
    return visitors


def turns(admission: Admission, inside: Visitor) -> list[Visitor]:
    """In which order those come in that wait, where there is room for one at once."""
    order = []
    while admitted := admission.leave(inside):
        (inside,) = admitted
        order.append(inside)
    return order


def test_those_that_came_later_overtake_patient_ones() -> None:
    admission = Admission(1)
    inside, first, second, late = come(admission, True, True, True, False)

    assert turns(admission, inside) == [late, first, second]


@given(KINDS)
def test_those_of_a_kind_come_in_as_they_came(kinds: list[bool]) -> None:
    admission = Admission(1)
    (inside,) = come(admission, False)
    visitors = come(admission, *kinds)

    order = turns(admission, inside)

    for patient in (False, True):
        assert [one for one in order if one.patient is patient] == [
            one for one in visitors if one.patient is patient
        ]


@given(KINDS)
def test_no_patient_one_waits_for_ever(kinds: list[bool]) -> None:
    admission = Admission(1)
    (inside,) = come(admission, False)
    come(admission, *kinds)

    order = turns(admission, inside)

    last_patient = max((place for place, one in enumerate(order) if one.patient), default=-1)
    in_a_row = 0
    for one in order[: last_patient + 1]:
        in_a_row = 0 if one.patient else in_a_row + 1
        assert in_a_row <= MOST_OVERTAKEN


def test_patient_ones_leave_room_for_others() -> None:
    admission = Admission(3, most_patient=2)
    patient = come(admission, True, True, True)

    (other,) = come(admission, False)

    assert [one.inside for one in patient] == [True, True, False]
    assert other.inside


def test_others_use_all_the_room() -> None:
    assert all(one.inside for one in come(Admission(3, most_patient=1), False, False, False))


def test_who_gives_up_while_waiting_lets_nobody_in_and_is_forgotten() -> None:
    admission = Admission(1)
    inside, gives_up, stays = come(admission, True, True, True)

    assert admission.leave(gives_up) == []
    assert admission.waiting == 1
    assert admission.leave(inside) == [stays]


def test_a_patient_one_that_could_not_come_in_anyway_is_not_overtaken() -> None:
    """Its turn is owed to it by those only that took a place which it might have had."""
    admission = Admission(2, most_patient=1)
    inside, waits = come(admission, True, True)
    for _ in range(MOST_OVERTAKEN):
        (other,) = come(admission, False)
        admission.leave(other)
    (other,) = come(admission, False)
    (late,) = come(admission, False)

    assert admission.leave(inside) == [late]
    assert admission.leave(other) == [waits]


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 50)), max_size=80),
)
def test_there_are_never_too_many_inside_and_never_room_for_one_that_waits(
    most: int, most_patient: int, steps: list[tuple[bool, bool, int]]
) -> None:
    admission, present = Admission(most, most_patient), []
    for comes, patient, which in steps:
        if comes:
            present += come(admission, patient)
        elif present:
            admission.leave(present.pop(which % len(present)))
        inside = [one for one in present if one.inside]
        waiting = [one for one in present if not one.inside]
        patient_inside = sum(one.patient for one in inside)

        assert len(inside) <= most
        assert patient_inside <= most_patient
        assert admission.waiting == len(waiting)
        if len(inside) < most:
            assert all(one.patient for one in waiting)
            assert not waiting or patient_inside == most_patient


@pytest.mark.parametrize("patient", [True, False])
def test_nobody_comes_in_where_there_is_no_room_at_all(patient: bool) -> None:
    (visitor,) = come(Admission(0), patient)

    assert not visitor.inside
