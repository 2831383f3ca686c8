"""Timers as a heap: nobody waits here, whoever holds the machine runs what is due."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock


class Deadlines:
    """Calls that become due on the monotonic clock, in order of time, then of being set.

    They are not cancelled: a call looks whether what it was set for still holds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self._clock.monotonic() + seconds, next(self._order), call))

    def next_due(self) -> float | None:
        """When the next one is due, on the monotonic clock."""
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> bool:
        """Run what is due, including what becomes due by that; True if anything was."""
        ran = False
        while self._heap and self._heap[0][0] <= self._clock.monotonic():
            heapq.heappop(self._heap)[2]()
            ran = True
        return ran
