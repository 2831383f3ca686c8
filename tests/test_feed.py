"""Events on their way to subscribers; each test ends with the feed's thread."""

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
    """The program's log, which is silent where it is embedded."""
    said: list[str] = []
    logger.enable("runscaler")
    sink = logger.add(lambda message: said.append(str(message)), format="{message}")
    yield said
    logger.remove(sink)
    logger.disable("runscaler")


def event(number: int) -> Event:
    return Event(at=float(number))


def waiting_for(number: int) -> tuple[Callable[[Event], None], threading.Event]:
    """A subscriber, and what is set when it has heard of `number`."""
    heard = threading.Event()
    return (lambda one: heard.set() if one == event(number) else None), heard


def refuse(_: Event) -> NoReturn:
    raise RuntimeError("the subscriber's own bug")


def test_each_subscriber_hears_every_event_in_order(feed: EventFeed) -> None:
    one: list[Event] = []
    other: list[Event] = []
    feed.subscribe(one.append)
    feed.subscribe(other.append)

    for number in range(100):
        feed.emit(event(number))
    feed.close()

    assert one == other == [event(number) for number in range(100)]


def test_events_come_on_a_thread_that_is_not_the_emitters(feed: EventFeed) -> None:
    threads: list[threading.Thread] = []
    feed.subscribe(lambda _: threads.append(threading.current_thread()))

    feed.emit(event(1))
    feed.close()

    assert [thread.name for thread in threads] == ["events"]
    assert threads[0] is not threading.current_thread()


def test_an_event_from_before_a_subscription_is_not_heard(feed: EventFeed) -> None:
    heard: list[Event] = []
    feed.emit(event(1))
    feed.subscribe(heard.append)
    feed.emit(event(2))
    feed.close()

    assert heard == [event(2)]


def test_a_subscriber_that_raises_holds_up_nobody_and_its_trouble_is_said(
    feed: EventFeed, log: list[str]
) -> None:
    heard: list[Event] = []
    feed.subscribe(refuse)
    feed.subscribe(heard.append)

    feed.emit(ScaleSetChanged(at=1.0, state="ok", reason=""))
    feed.emit(event(2))
    feed.close()

    assert [one.at for one in heard] == [1.0, 2.0]
    assert log[0] == (
        'an event subscriber failed on ScaleSetChanged: RuntimeError("the subscriber\'s own bug")\n'
    )


def test_nothing_is_heard_after_the_subscription_ended(feed: EventFeed) -> None:
    heard: list[Event] = []
    end = feed.subscribe(heard.append)
    other, heard_two = waiting_for(2)
    feed.subscribe(other)

    end()
    end()
    feed.emit(event(2))

    assert heard_two.wait(LIMIT)
    assert heard == []


def test_a_subscriber_may_end_its_subscription_while_it_is_called(feed: EventFeed) -> None:
    heard: list[Event] = []
    ends: list[Callable[[], None]] = []

    def once(one: Event) -> None:
        heard.append(one)
        ends[0]()

    ends.append(feed.subscribe(once))
    feed.emit(event(1))
    feed.emit(event(2))
    feed.close()

    assert heard == [event(1)]


def test_without_subscribers_nothing_is_kept_and_no_thread_runs(feed: EventFeed) -> None:
    before = threading.active_count()
    feed.emit(event(1))

    assert threading.active_count() == before


def test_closing_twice_or_before_any_subscription_is_harmless(feed: EventFeed) -> None:
    feed.close()
    feed.subscribe(refuse)
    feed.close()
    feed.close()


def test_a_subscriber_from_before_a_close_hears_what_follows_it(feed: EventFeed) -> None:
    """A system may be started again after its stop; who subscribed once stays subscribed."""
    one, heard_one = waiting_for(1)
    other, heard_other = waiting_for(2)
    feed.subscribe(one)
    feed.subscribe(other)

    feed.emit(event(1))
    feed.close()
    feed.emit(event(2))

    assert heard_one.is_set()
    assert heard_other.wait(LIMIT)
