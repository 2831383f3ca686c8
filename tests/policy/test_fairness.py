"""docs/behaviour.md § 6.4: the host's places, shared so that no scale set starves."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from strategies import holdings, wishes

from runscaler.policy.fairness import share

FREE = st.integers(-2, 20)


@given(FREE, holdings(), wishes())
def test_no_place_is_given_twice_nor_one_that_is_not_free(
    free: int, held: dict[str, int], waiting: list[str]
) -> None:
    granted = share(free, held, waiting)

    assert len(granted) == len(set(granted)) == min(max(0, free), len(waiting))
    assert all(0 <= index < len(waiting) for index in granted)


@given(FREE, holdings(), wishes())
def test_nobody_is_passed_over_for_a_set_that_ends_up_with_more_than_one_beyond_his(
    free: int, held: dict[str, int], waiting: list[str]
) -> None:
    granted = share(free, held, waiting)
    given_to = Counter(waiting[index] for index in granted)
    have = Counter(held) + given_to

    for passed_over in Counter(waiting) - given_to:
        assert all(have[served] <= have[passed_over] + 1 for served in given_to)


@given(FREE, holdings(), wishes())
def test_within_a_set_who_asked_first_is_served_first(
    free: int, held: dict[str, int], waiting: list[str]
) -> None:
    granted = share(free, held, waiting)

    for key in set(waiting):
        asked = [index for index, one in enumerate(waiting) if one == key]
        served = [index for index in granted if waiting[index] == key]
        assert served == asked[: len(served)]


@given(st.integers(0, 10), holdings(), wishes())
def test_one_more_free_place_takes_none_away(free: int, held: dict[str, int], waiting: list[str]) -> None:
    fewer, more = share(free, held, waiting), share(free + 1, held, waiting)

    assert more[: len(fewer)] == fewer


@given(FREE, holdings(), wishes())
def test_the_order_in_which_holdings_are_kept_does_not_matter(
    free: int, held: dict[str, int], waiting: list[str]
) -> None:
    backwards = dict(reversed(held.items()))

    assert share(free, held, waiting) == share(free, backwards, waiting)


@given(st.integers(1, 5), st.integers(1, 40))
def test_a_set_that_waits_gets_its_turn_however_many_others_ask(places: int, others: int) -> None:
    """Each round one place comes free; the greedy set asks again and again, the patient one once."""
    held = {"greedy": places, "patient": 0}
    waiting = ["greedy"] * others + ["patient"]

    assert waiting[share(1, held, waiting)[0]] == "patient"


def test_equals_are_served_in_the_order_of_asking() -> None:
    assert share(3, {}, ["b", "a", "c", "a"]) == (0, 1, 2)


def test_a_big_set_and_a_small_one_share_evenly() -> None:
    granted = share(4, {}, ["big"] * 10 + ["small"] * 2)

    assert granted == (0, 10, 1, 11)
