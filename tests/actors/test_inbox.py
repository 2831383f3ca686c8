"""An actor's queue and deadlines. A test waits only for a message that another thread is bound to send."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.actors.inbox import Due, Inbox
from runscaler.clock import SystemClock
from runscaler.testing.clock import FakeClock

TIMEOUT = 30.0


def received(inbox: Inbox) -> list[object]:
    """All that `get` returns without waiting; of deadlines the message."""
    found = []
    while not inbox.empty():
        got = inbox.get()
        found.append(got.message if isinstance(got, Due) else got)
    return found


def test_messages_come_in_the_order_in_which_they_were_put() -> None:
    inbox = Inbox(FakeClock())
    for message in ("a", "b", "c"):
        inbox.put(message)

    assert received(inbox) == ["a", "b", "c"]


def test_a_deadline_is_due_when_its_time_has_come_and_not_before() -> None:
    clock = FakeClock()
    inbox = Inbox(clock)
    inbox.after(5.0, "late")

    clock.advance(4.9)
    assert inbox.empty()

    clock.advance(0.1)
    assert received(inbox) == ["late"]
    assert inbox.empty()


def test_a_due_deadline_is_an_envelope_without_anyone_to_reply_to() -> None:
    inbox = Inbox(FakeClock())
    inbox.after(0.0, "now")

    due = inbox.get()

    assert (due.message, due.reply_to) == ("now", None)


def test_a_due_deadline_comes_before_queued_messages() -> None:
    inbox = Inbox(FakeClock())
    inbox.put("queued")
    inbox.after(0.0, "due")

    assert received(inbox) == ["due", "queued"]


def test_a_future_deadline_does_not_delay_a_message() -> None:
    inbox = Inbox(FakeClock())
    inbox.after(3600.0, "much later")
    inbox.put("now")

    assert not inbox.empty()
    assert received(inbox) == ["now"]


@given(st.lists(st.integers(0, 20), max_size=20))
def test_deadlines_come_in_the_order_of_their_times_and_then_of_their_calls(delays: list[int]) -> None:
    clock = FakeClock()
    inbox = Inbox(clock)
    for number, seconds in enumerate(delays):
        inbox.after(float(seconds), (seconds, number))
    clock.advance(20.0)

    assert received(inbox) == sorted((seconds, number) for number, seconds in enumerate(delays))


@given(st.lists(st.integers(0, 20), max_size=10), st.integers(0, 20))
def test_exactly_the_deadlines_whose_time_has_come_are_due(delays: list[int], passed: int) -> None:
    clock = FakeClock()
    inbox = Inbox(clock)
    for seconds in delays:
        inbox.after(float(seconds), seconds)
    clock.advance(float(passed))

    assert received(inbox) == sorted(seconds for seconds in delays if seconds <= passed)


@pytest.mark.parametrize("deadlines", [(), (3600.0,)])
def test_a_waiting_get_returns_a_message_from_another_thread(deadlines: tuple[float, ...]) -> None:
    inbox = Inbox(SystemClock())
    for seconds in deadlines:
        inbox.after(seconds, "much later")
    got: list[object] = []
    waiter = threading.Thread(target=lambda: got.append(inbox.get()))
    waiter.start()

    inbox.put("hello")
    waiter.join(TIMEOUT)

    assert got == ["hello"]


def test_a_waiting_get_returns_a_deadline_of_the_real_clock() -> None:
    inbox = Inbox(SystemClock())
    inbox.after(0.01, "due")

    assert inbox.get().message == "due"
