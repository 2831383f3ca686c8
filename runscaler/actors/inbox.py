"""An actor's queue and its own deadlines, in one place (docs/architecture.md § The actors)."""

from __future__ import annotations

import heapq
import queue
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pykka import Future

    from runscaler.clock import Clock


class Due:
    """A deadline that came: looks like an envelope to Pykka's loop, with nobody to answer."""

    __slots__ = ("message",)
    reply_to: Future[Any] | None = None

    def __init__(self, message: object) -> None:
        self.message = message


class Inbox:
    """`get` returns a message or a deadline, whichever comes first.

    `put` is for any thread, `after` for the actor's own. Deadlines are seconds on the clock that
    was given; with a fake clock they become due when a test moves it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._due: list[tuple[float, int, object]] = []
        self._order = count()

    def put(self, envelope: Any, /) -> None:
        self._queue.put(envelope)

    def after(self, seconds: float, message: object) -> None:
        """Deliver `message` to this actor `seconds` from now."""
        heapq.heappush(self._due, (self._clock.monotonic() + seconds, next(self._order), message))

    def empty(self) -> bool:
        """Nothing to handle now; deadlines of the future do not count."""
        return self._queue.empty() and self._wait() != 0

    def get(self) -> Any:
        while True:
            wait = self._wait()
            if wait == 0:
                return Due(heapq.heappop(self._due)[2])
            with suppress(queue.Empty):
                return self._queue.get(timeout=wait)

    def _wait(self) -> float | None:
        """Seconds until the next deadline, 0 when it is due, None without one."""
        if not self._due:
            return None
        return max(0.0, self._due[0][0] - self._clock.monotonic())
