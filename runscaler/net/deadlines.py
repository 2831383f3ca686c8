"""Overall deadlines of calls: one thread that cancels what takes too long (fault F7).

A read time-out limits silence only: a server that sends a byte a second never reaches it. One thread
watches all calls, as a timer each would be a thread each.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runscaler.threads import keep_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.clock import Clock


class Deadlines:
    """Thread-safe. Its own thread starts with the first deadline and ends with `close`; `clock` must tell
    real time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._pending: dict[object, tuple[float, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def limit(self, seconds: float, cancel: Callable[[], None]) -> Iterator[None]:
        """Run the body; `cancel` is called on the other thread if the body takes longer than `seconds`."""
        key = object()
        self._add(key, self._clock.monotonic() + seconds, cancel)
        try:
            yield
        finally:
            with self._changed:
                self._pending.pop(key, None)

    def close(self) -> None:
        """End the thread: calls that are still under way have no deadline any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _add(self, key: object, deadline: float, cancel: Callable[[], None]) -> None:
        with self._changed:
            self._pending[key] = (deadline, cancel)
            if self._thread is None and not self._closed:
                self._thread = keep_running(self._run, "http-deadlines")
            elif deadline <= min(at for at, _ in self._pending.values()):
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                self._changed.wait(self._cancel_overdue())

    def _cancel_overdue(self) -> float | None:
        """Seconds until the next deadline, None if there is none. One that cannot be cancelled is dropped."""
        now = self._clock.monotonic()
        for key, (deadline, cancel) in tuple(self._pending.items()):
            if deadline <= now:
                del self._pending[key]
                cancel()
        return min((deadline - now for deadline, _ in self._pending.values()), default=None)
