"""How a parent reaches an actor that blocks in a call (design: the one exception to messages only).

Level-triggered: once set, the call in flight is cut and every later one is refused at its door,
until the actor receives the message that goes with the interrupt and clears it. So none is lost
in the gap between two calls.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from runscaler.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Interrupt:
    """Set from any thread; the call that it cuts runs in one other thread.

    >>> interrupt = Interrupt()
    >>> with interrupt.cancelling(lambda: None):
    ...     pass
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._times = 0
        self._cut: Callable[[], None] | None = None

    def set(self) -> None:
        """Cut the call in flight, if there is one, and refuse those to come."""
        with self._lock:
            self._times += 1
            self._event.set()
            cut = self._cut
        if cut is not None:
            with suppress(OSError):
                cut()

    def clear(self) -> None:
        """Take one `set` back, for the message that went with it: calls are allowed again after the
        last. So a second cut is not lost while the message of the first is being received."""
        with self._lock:
            self._times = max(0, self._times - 1)
            if not self._times:
                self._event.clear()

    def reset(self) -> None:
        """Take all of them back: for a new actor."""
        with self._lock:
            self._times = 0
            self._event.clear()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep for real seconds, or raise `Interrupted` as soon as it is set."""
        if self._event.wait(seconds):
            raise Interrupted

    @contextmanager
    def cancelling(self, cut: Callable[[], None]) -> Iterator[None]:
        """Run a blocking call that `cut` ends from another thread.

        `cut` must make the call return or raise soon (shut its socket, end its process group) and
        may be called a moment after the call ended by itself. Whatever the body raises once the
        interrupt is set becomes `Interrupted`; a body that finished all the same keeps its result.
        """
        with self._lock:
            if self._event.is_set():
                raise Interrupted
            self._cut = cut
        try:
            yield
        except Exception as error:
            if self._event.is_set():
                raise Interrupted from error
            raise
        finally:
            with self._lock:
                self._cut = None
