from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runscaler.policy.cursor import REMEMBERED, Cursor


def followed(*messages: int) -> Cursor:
    cursor = Cursor()
    for message in messages:
        cursor = cursor.follow(message)
    return cursor


@given(st.lists(st.integers(min_value=1)))
def test_the_cursor_is_the_highest_id_received(messages: list[int]) -> None:
    assert followed(*messages).last == max(messages, default=0)


@given(st.lists(st.integers(min_value=1, max_value=20), unique=True).map(sorted), st.data())
def test_messages_delivered_twice_do_not_count_as_ids_that_start_over(
    messages: list[int], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(messages))) if messages else []
    assert not followed(*messages, *again).restarted


def test_after_a_new_message_with_a_lower_id_the_ids_have_started_over() -> None:
    assert followed(500, 501, 1).restarted
    assert followed(500, 501, 1, 502).restarted


def test_only_the_latest_messages_are_remembered() -> None:
    assert len(followed(*range(1, 5 * REMEMBERED)).received) == REMEMBERED
