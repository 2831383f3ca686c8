"""A selector that other threads can wake from its wait."""

from __future__ import annotations

import os
import selectors
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from selectors import SelectorKey


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class WakeableSelector:
    """Waits until files become readable. `wake` is for any thread, the rest for one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._reader, selectors.EVENT_READ)

    def register(self, file: HasFileno, data: object) -> None:
        self._selector.register(file, selectors.EVENT_READ, data)

    def unregister(self, file: HasFileno) -> None:
        """Harmless if it is not registered, or closed already."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(file)

    def select(self, seconds: float | None) -> list[SelectorKey]:
        """Those that are readable. Empty after `seconds` (None: no limit) or when woken."""
        ready = [key for key, _ in self._selector.select(seconds)]
        if any(key.fd == self._reader for key in ready):
            os.read(self._reader, 4096)
        return [key for key in ready if key.fd != self._reader]

    def wake(self) -> None:
        """End the current or the next `select`. Harmless after `close`."""
        with self._lock, suppress(BlockingIOError):
            if not self._closed:
                os.write(self._writer, b"!")

    def close(self) -> None:
        """The registered files stay open."""
        self._selector.close()
        with self._lock:
            self._closed = True
            os.close(self._reader)
            os.close(self._writer)
