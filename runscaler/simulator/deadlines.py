"""A heap of calls that become due; the machine runs them when it ticks."""

from __future__ import annotations

import heapq
import itertools
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock


class Deadlines:
    """Calls that become due on the monotonic clock; those due at the same time run in the order of `after`.

    A call cannot be cancelled: it must check whether it still applies.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Make the call after `seconds`; never, if they are infinite."""
        if seconds == inf:
            return
        heapq.heappush(self._heap, (self._clock.monotonic() + seconds, next(self._order), call))

    def next_due(self) -> float | None:
        """The time of the next call on the monotonic clock, None if there is none."""
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> bool:
        """Run all calls that are due, including those that become due meanwhile; True if there were any."""
        ran = False
        while self._heap and self._heap[0][0] <= self._clock.monotonic():
            heapq.heappop(self._heap)[2]()
            ran = True
        return ran
