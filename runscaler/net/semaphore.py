"""A semaphore whose waiters can be interrupted."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runscaler.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.interrupt import Interrupt


class InterruptibleSemaphore:
    """Held by at most `limit` threads at once."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._changed = threading.Condition()

    @contextmanager
    def held(self, interrupt: Interrupt, seconds: float | None = None) -> Iterator[None]:
        """Hold it in the body. Blocks until it is free, for at most `seconds` (None: for ever).

        Raises `Interrupted` if `interrupt` is set before it is held, `TimeoutError`.
        """
        self._acquire(interrupt, seconds)
        try:
            yield
        finally:
            self._release()

    def _acquire(self, interrupt: Interrupt, seconds: float | None) -> None:
        with interrupt.cancelling(self._wake_all), self._changed:
            in_time = self._changed.wait_for(lambda: self._free > 0 or interrupt.is_set(), seconds)
            if interrupt.is_set():
                raise Interrupted
            if not in_time:
                raise TimeoutError("timed out waiting for other calls to end")
            self._free -= 1

    def _release(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify()

    def _wake_all(self) -> None:
        with self._changed:
            self._changed.notify_all()
