"""Delivery of events to subscribers; each test ends the feed's thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

import pytest
from loguru import logger

from runscaler.events import Event, ScaleSetChanged
from runscaler.feed import EventFeed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 30.0


@pytest.fixture
def feed() -> Iterator[EventFeed]:
    made = EventFeed()
    yield made
    made.close()


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Lines logged during the test."""
    said: list[str] = []
    logger.enable("runscaler")
    sink = logger.add(lambda message: said.append(str(message)), format="{message}")
    yield said
    logger.remove(sink)
    logger.disable("runscaler")


def event(number: int) -> Event:
    return Event(at=float(number))


def waiting_for(number: int) -> tuple[Callable[[Event], None], threading.Event]:
    """A subscriber, and the threading event that it sets when it gets event `number`."""
    received = threading.Event()
    return (lambda one: received.set() if one == event(number) else None), received


def refuse(_: Event) -> NoReturn:
    raise RuntimeError("the subscriber's own bug")


def test_each_subscriber_gets_every_event_in_order(feed: EventFeed) -> None:
    one: list[Event] = []
    other: list[Event] = []
    feed.subscribe(one.append)
    feed.subscribe(other.append)

    for number in range(100):
        feed.emit(event(number))
    feed.close()

    assert one == other == [event(number) for number in range(100)]


def test_events_are_delivered_on_another_thread_than_the_emitters(feed: EventFeed) -> None:
    threads: list[threading.Thread] = []
    feed.subscribe(lambda _: threads.append(threading.current_thread()))

    feed.emit(event(1))
    feed.close()

    assert [thread.name for thread in threads] == ["events"]
    assert threads[0] is not threading.current_thread()


def test_events_from_before_a_subscription_are_not_delivered(feed: EventFeed) -> None:
    received: list[Event] = []
    feed.emit(event(1))
    feed.subscribe(received.append)
    feed.emit(event(2))
    feed.close()

    assert received == [event(2)]


def test_a_subscriber_that_raises_is_logged_and_does_not_affect_others(
    feed: EventFeed, log: list[str]
) -> None:
    received: list[Event] = []
    feed.subscribe(refuse)
    feed.subscribe(received.append)

    feed.emit(ScaleSetChanged(at=1.0, state="ok", reason=""))
    feed.emit(event(2))
    feed.close()

    assert [one.at for one in received] == [1.0, 2.0]
    assert log[0] == (
        'an event subscriber failed on ScaleSetChanged: RuntimeError("the subscriber\'s own bug")\n'
    )


def test_nothing_is_delivered_after_unsubscribing(feed: EventFeed) -> None:
    received: list[Event] = []
    end = feed.subscribe(received.append)
    other, received_two = waiting_for(2)
    feed.subscribe(other)

    end()
    end()
    feed.emit(event(2))

    assert received_two.wait(LIMIT)
    assert received == []


def test_a_subscriber_may_unsubscribe_while_it_is_called(feed: EventFeed) -> None:
    received: list[Event] = []
    ends: list[Callable[[], None]] = []

    def once(one: Event) -> None:
        received.append(one)
        ends[0]()

    ends.append(feed.subscribe(once))
    feed.emit(event(1))
    feed.emit(event(2))
    feed.close()

    assert received == [event(1)]


def test_without_subscribers_nothing_is_kept_and_no_thread_runs(feed: EventFeed) -> None:
    before = threading.active_count()
    feed.emit(event(1))

    assert threading.active_count() == before


def test_closing_twice_or_before_any_subscription_is_harmless(feed: EventFeed) -> None:
    feed.close()
    feed.subscribe(refuse)
    feed.close()
    feed.close()


def test_a_subscription_survives_a_close(feed: EventFeed) -> None:
    """A system can be started again after a stop, and its subscribers stay subscribed."""
    one, received_one = waiting_for(1)
    other, received_other = waiting_for(2)
    feed.subscribe(one)
    feed.subscribe(other)

    feed.emit(event(1))
    feed.close()
    feed.emit(event(2))

    assert received_one.is_set()
    assert received_other.wait(LIMIT)


def test_a_subscriber_that_raises_system_exit_ends_nothing(feed: EventFeed, log: list[str]) -> None:
    def leave(_: Event) -> NoReturn:
        raise SystemExit(3)

    hear, received = waiting_for(2)
    feed.subscribe(leave)
    feed.subscribe(hear)

    feed.emit(event(1))
    feed.emit(event(2))

    assert received.wait(LIMIT)
    assert any("SystemExit(3)" in line for line in log)
