"""The difference of this host's clock to GitHub's, which refuses runners whose clock is wrong (fault F96)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.github.error_replies import server_time

if TYPE_CHECKING:
    from runscaler.github.wire import Reply

TELLING_SKEW = 120.0
"""Seconds from which a difference is told unasked."""
CLOCK_FIXES = ("set this host's clock, best by NTP",)


class ClockSkew:
    """The latest measurement, from the `Date` of replies. Thread-safe."""

    def __init__(self) -> None:
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        """How far this host's clock is ahead, negative if it is behind; 0 if it is not known."""
        return self._seconds

    def measure(self, reply: Reply, sent: float, received: float) -> None:
        """`sent` and `received` are this host's wall clock; in between, GitHub said what time it is."""
        theirs = server_time(reply)
        if theirs is None:
            return
        self._seconds = max(0.0, sent - theirs) + min(0.0, received - theirs)


def clock_words(seconds: float, least: float = TELLING_SKEW) -> str:
    """Words like "this host's clock is 15 min ahead of GitHub's"; empty below `least` seconds."""
    if abs(seconds) < least:
        return ""
    direction = "ahead of" if seconds > 0 else "behind"
    return f"this host's clock is {_rounded(abs(seconds))} {direction} GitHub's"


def _rounded(seconds: float) -> str:
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{round(seconds)} s"
