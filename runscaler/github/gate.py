"""A narrow place that a bounded number of calls may be in at once."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runscaler.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.interrupt import Interrupt


class Gate:
    """A semaphore whose waiters can be interrupted."""

    def __init__(self, width: int) -> None:
        self._free = width
        self._changed = threading.Condition()

    @contextmanager
    def passing(self, interrupt: Interrupt) -> Iterator[None]:
        """Wait for a place and hold it; raises `Interrupted` while it waits."""
        self._enter(interrupt)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, interrupt: Interrupt) -> None:
        with interrupt.cutting(self._wake), self._changed:
            self._changed.wait_for(lambda: self._free > 0 or interrupt.is_set())
            if interrupt.is_set():
                self._changed.notify()
                raise Interrupted
            self._free -= 1

    def _leave(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
