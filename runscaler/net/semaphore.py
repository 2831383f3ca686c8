"""A semaphore whose waiters can be interrupted, and of whom some go before others."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runscaler.errors import Interrupted
from runscaler.net.admission import Admission, Turn, Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.interrupt import Interrupt


class InterruptibleSemaphore:
    """Held by at most `limit` threads at once, by `later_limit` in a `LATER` turn (None: by as many)."""

    def __init__(self, limit: int, later_limit: int | None = None) -> None:
        self._admission = Admission(limit, later_limit)
        self._lock = threading.Lock()
        self._wake_ups: dict[Visitor, threading.Condition] = {}
        """Of those that wait: each has its own, so that a release wakes only whom it lets in."""

    @property
    def waiting(self) -> int:
        """How many threads wait for it."""
        return self._admission.waiting

    @contextmanager
    def held(
        self, interrupt: Interrupt, seconds: float | None = None, *, turn: Turn = Turn.USUAL
    ) -> Iterator[None]:
        """Hold it in the body. Blocks until it is free, for at most `seconds` (None: for ever).

        Raises `Interrupted` if `interrupt` is set before it is held, `TimeoutError`.
        """
        visitor = Visitor(turn)
        self._acquire(visitor, interrupt, seconds)
        try:
            yield
        finally:
            with self._lock:
                self._leave(visitor)

    def _acquire(self, visitor: Visitor, interrupt: Interrupt, seconds: float | None) -> None:
        wake_up = threading.Condition(self._lock)

        def wake() -> None:
            with wake_up:
                wake_up.notify()

        with interrupt.cancelling(wake), self._lock:
            self._wake_ups[visitor] = wake_up
            try:
                self._admission.come(visitor)
                in_time = wake_up.wait_for(lambda: visitor.inside or interrupt.is_set(), seconds)
                if interrupt.is_set():
                    raise Interrupted
                if not in_time:
                    raise TimeoutError("timed out waiting for other calls to end")
            except BaseException:
                self._leave(visitor)
                raise
            finally:
                del self._wake_ups[visitor]

    def _leave(self, visitor: Visitor) -> None:
        for admitted in self._admission.leave(visitor):
            self._wake_ups[admitted].notify()
