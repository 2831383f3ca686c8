"""Delivers events from the actors to subscribers, on a thread of its own.

A slow subscriber delays the other subscribers, never the actors.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.threads import keep_running

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.events import Event


class EventFeed:
    """`emit` may be called from any thread and does nothing while there are no subscribers."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with each event from now on. Call the result to unsubscribe."""
        with self._lock:
            self._subscribers = [*self._subscribers, callback]
        return lambda: self._unsubscribe(callback)

    def emit(self, event: Event) -> None:
        if not self._subscribers:
            return
        if self._thread is None:
            self._start_thread()
        self._queue.put(event)

    def _start_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = keep_running(self._deliver, "events")

    def close(self) -> None:
        """Deliver the queued events, then end the thread."""
        thread = self._thread
        if thread is None:
            return
        self._queue.put(None)
        if thread is not threading.current_thread():
            thread.join(5.0)
        self._thread = None

    def _unsubscribe(self, callback: Callable[[Event], None]) -> None:
        with self._lock:
            self._subscribers = [one for one in self._subscribers if one is not callback]

    def _deliver(self) -> None:
        while (event := self._queue.get()) is not None:
            for callback in self._subscribers:
                try:
                    callback(event)
                except BaseException as error:  # foreign code: nothing it raises may end this thread
                    logger.warning("an event subscriber failed on {}: {!r}", type(event).__name__, error)
