"""Events from the actors to whoever subscribed, on a thread of its own.

A subscriber that is slow or raises holds up nobody but the other subscribers' next event.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.events import Event


class EventFeed:
    """`emit` is for any thread and costs nothing while nobody listens."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with each event from now on; returns what ends that."""
        with self._lock:
            self._subscribers = [*self._subscribers, callback]
        return lambda: self._unsubscribe(callback)

    def emit(self, event: Event) -> None:
        if not self._subscribers:
            return
        if self._thread is None:
            self._open()
        self._queue.put(event)

    def _open(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._deliver, name="events", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Deliver what is queued, then end."""
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
                except Exception as error:  # a stranger's code: its trouble is said, and is not ours
                    logger.warning("a subscriber failed on {}: {!r}", type(event).__name__, error)
