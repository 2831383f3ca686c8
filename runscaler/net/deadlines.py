"""Overall deadlines of calls: one thread that cancels what takes too long (fault F7).

A read time-out limits silence only: a server that sends a byte a second never reaches it. One thread
watches all calls, as a timer each would be a thread each.
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


class _Deadline:
    __slots__ = ("cancel",)

    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel: Callable[[], None] | None = cancel


class Deadlines:
    """Thread-safe. Its own thread starts with the first deadline and ends with `close`; `clock` must tell
    real time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, _Deadline]] = []
        self._order = count()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def limit(self, seconds: float, cancel: Callable[[], None]) -> Iterator[None]:
        """Run the body; `cancel` is called on the other thread if the body takes longer than `seconds`."""
        deadline = _Deadline(cancel)
        self._add(self._clock.monotonic() + seconds, deadline)
        try:
            yield
        finally:
            deadline.cancel = None

    def close(self) -> None:
        """End the thread: calls that are still under way have no deadline any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _add(self, at: float, deadline: _Deadline) -> None:
        with self._changed:
            heapq.heappush(self._waiting, (at, next(self._order), deadline))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="http-deadlines", daemon=True)
                self._thread.start()
            elif self._waiting[0][2] is deadline:
                self._changed.notify()

    def _run(self) -> None:
        while (deadline := self._next_due()) is not None:
            cancel = deadline.cancel
            if cancel is not None:
                cancel()

    def _next_due(self) -> _Deadline | None:
        with self._changed:
            while not self._closed:
                wait = self._waiting[0][0] - self._clock.monotonic() if self._waiting else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(wait)
        return None
