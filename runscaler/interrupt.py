"""How one thread ends a blocking call of another (docs/architecture.md § The actors).

An interrupt stays set: the call in progress is cancelled, and later ones are refused, until the receiver
takes it back. So none is lost between two calls.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from runscaler.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Interrupt:
    """Set by any thread; the calls that it cancels run on one other thread, one at a time.

    >>> interrupt = Interrupt()
    >>> with interrupt.cancelling(lambda: None):
    ...     pass
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._times = 0
        self._cancel: Callable[[], None] | None = None

    def set(self) -> None:
        """Cancel the call in progress, if there is one, and refuse later ones."""
        with self._lock:
            self._times += 1
            self._event.set()
            cancel = self._cancel
        if cancel is not None:
            with suppress(OSError):
                cancel()

    def clear(self) -> None:
        """Take back one `set`; calls are allowed again when all are taken back.

        Each `set` belongs to a message and is taken back when that message arrives. So a second one is not
        lost while the message of the first is being received.
        """
        with self._lock:
            self._times = max(0, self._times - 1)
            if not self._times:
                self._event.clear()

    def reset(self) -> None:
        """Take back every `set`, for a new actor."""
        with self._lock:
            self._times = 0
            self._event.clear()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Block for so many seconds of real time. Raises `Interrupted` as soon as it is set."""
        if self._event.wait(seconds):
            raise Interrupted

    @contextmanager
    def cancelling(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Run a blocking call, which `cancel` ends from another thread.

        `cancel` must make the call return or raise soon (shut its socket, end its process group). It may
        be called a moment after the call ended by itself. Whatever the body raises once this is set becomes
        `Interrupted`; a body that finishes all the same keeps its result.
        """
        with self._lock:
            if self._event.is_set():
                raise Interrupted
            self._cancel = cancel
        try:
            yield
        except Exception as error:
            if self._event.is_set():
                raise Interrupted from error
            raise
        finally:
            with self._lock:
                self._cancel = None
