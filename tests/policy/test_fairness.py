"""Free capacity is shared so that no scale set starves (docs/behaviour.md § 6.4)."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from strategies import holdings, waiting_sets

from runscaler.policy.fairness import share

FREE = st.integers(-2, 20)


@given(FREE, holdings(), waiting_sets())
def test_as_much_is_granted_as_is_free_and_no_claim_twice(
    free: int, held: dict[str, int], waiting: list[str]
) -> None:
    granted = share(free, held, waiting)

    assert len(granted) == len(set(granted)) == min(max(0, free), len(waiting))
    assert all(0 <= index < len(waiting) for index in granted)


@given(FREE, holdings(), waiting_sets())
def test_a_set_left_waiting_holds_at_most_one_less_than_any_set_served(
    free: int, held: dict[str, int], waiting: list[str]
) -> None:
    granted = share(free, held, waiting)
    given_to = Counter(waiting[index] for index in granted)
    have = Counter(held) + given_to

    for passed_over in Counter(waiting) - given_to:
        assert all(have[served] <= have[passed_over] + 1 for served in given_to)


@given(FREE, holdings(), waiting_sets())
def test_the_oldest_claims_of_a_set_are_granted_first(
    free: int, held: dict[str, int], waiting: list[str]
) -> None:
    granted = share(free, held, waiting)

    for key in set(waiting):
        asked = [index for index, one in enumerate(waiting) if one == key]
        served = [index for index in granted if waiting[index] == key]
        assert served == asked[: len(served)]


@given(st.integers(0, 10), holdings(), waiting_sets())
def test_more_free_capacity_takes_no_grant_away(free: int, held: dict[str, int], waiting: list[str]) -> None:
    fewer, more = share(free, held, waiting), share(free + 1, held, waiting)

    assert more[: len(fewer)] == fewer


@given(FREE, holdings(), waiting_sets())
def test_the_order_of_the_held_capacity_does_not_matter(
    free: int, held: dict[str, int], waiting: list[str]
) -> None:
    backwards = dict(reversed(held.items()))

    assert share(free, held, waiting) == share(free, backwards, waiting)


@given(st.integers(1, 5), st.integers(1, 40))
def test_a_set_with_nothing_comes_before_one_with_many_claims(places: int, others: int) -> None:
    """One set holds everything and has many claims, the other holds nothing and has one, the newest."""
    held = {"greedy": places, "patient": 0}
    waiting = ["greedy"] * others + ["patient"]

    assert waiting[share(1, held, waiting)[0]] == "patient"


def test_equal_sets_are_served_in_the_order_of_their_claims() -> None:
    assert share(3, {}, ["b", "a", "c", "a"]) == (0, 1, 2)


def test_a_set_with_many_claims_and_one_with_few_share_evenly() -> None:
    granted = share(4, {}, ["big"] * 10 + ["small"] * 2)

    assert granted == (0, 10, 1, 11)
