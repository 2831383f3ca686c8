"""Overall deadlines of calls: one thread that cuts what takes too long (fault F7).

A read time-out says how long silence may last; a server that sends a byte a second never trips it.
"""

from __future__ import annotations

import heapq
import threading
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.clock import Clock


class _Limit:
    __slots__ = ("cut",)

    def __init__(self, cut: Callable[[], None]) -> None:
        self.cut: Callable[[], None] | None = cut


class Watchdog:
    """Its thread starts with the first limit and ends with `close`. `clock` must tell real time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._limits: list[tuple[float, int, _Limit]] = []
        self._order = count()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def limit(self, seconds: float, cut: Callable[[], None]) -> Iterator[None]:
        """Run the body; `cut` is called from another thread when it takes longer."""
        limit = _Limit(cut)
        self._add(self._clock.monotonic() + seconds, limit)
        try:
            yield
        finally:
            limit.cut = None

    def cut_after(self, seconds: float, cut: Callable[[], None]) -> None:
        """Call `cut` from another thread in so many seconds, whatever has happened by then."""
        self._add(self._clock.monotonic() + seconds, _Limit(cut))

    def close(self) -> None:
        """End the thread; calls that are still under way are no longer watched."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _add(self, deadline: float, limit: _Limit) -> None:
        with self._changed:
            heapq.heappush(self._limits, (deadline, next(self._order), limit))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._watch, name="github-deadlines", daemon=True)
                self._thread.start()
            elif self._limits[0][2] is limit:
                self._changed.notify()

    def _watch(self) -> None:
        while (limit := self._next_due()) is not None:
            cut = limit.cut
            if cut is not None:
                cut()

    def _next_due(self) -> _Limit | None:
        with self._changed:
            while not self._closed:
                wait = self._limits[0][0] - self._clock.monotonic() if self._limits else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._limits)[2]
                self._changed.wait(wait)
        return None
