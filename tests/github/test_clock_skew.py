"""How far this host's clock is from GitHub's, measured by every reply (fault F96)."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from runscaler.github.clock_skew import ClockSkew, clock_words
from runscaler.github.wire import Reply

NOW = 1_800_000_000.0


def reply(date: str) -> Reply:
    return Reply(200, {"Date": date}, b"")


@pytest.mark.parametrize(
    ("theirs", "skew"),
    [
        (NOW, 0.0),
        (NOW + 50, 0.0),
        (NOW - 10, 10.0),
        (NOW + 65, -5.0),
        (NOW - 900, 900.0),
        (NOW + 960, -900.0),
    ],
)
def test_a_reply_says_its_time_between_the_request_and_its_end(theirs: float, skew: float) -> None:
    """So that a poll that was held for a minute tells of no wrong clock."""
    measured = ClockSkew()

    measured.measure(reply(formatdate(theirs, usegmt=True)), NOW, NOW + 60)

    assert measured.seconds == skew


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo 2026 00:00:00 GMT"])
def test_a_reply_without_a_time_changes_nothing(date: str) -> None:
    measured = ClockSkew()
    measured.measure(reply(formatdate(NOW - 300, usegmt=True)), NOW, NOW)

    measured.measure(reply(date), NOW, NOW)

    assert measured.seconds == 300


def test_a_clock_that_was_set_is_right_with_the_next_reply() -> None:
    measured = ClockSkew()
    for now in (NOW + 900, NOW):
        measured.measure(reply(formatdate(NOW, usegmt=True)), now, now)

    assert measured.seconds == 0


def test_small_differences_are_not_worth_a_word() -> None:
    assert clock_words(0) == clock_words(119.9) == clock_words(-119.9) == ""
    assert clock_words(120) == "this host's clock is 2 min ahead of GitHub's"
    assert clock_words(-45, 30) == "this host's clock is 45 s behind GitHub's"
