"""An actor's message queue, together with its own deadlines (docs/architecture.md § The actors)."""

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
    """The message of a deadline that has come: an envelope for Pykka's loop, with nobody to reply to."""

    __slots__ = ("message",)
    reply_to: Future[Any] | None = None

    def __init__(self, message: object) -> None:
        self.message = message


class Inbox:
    """`get` returns a queued message or one whose deadline has come, whichever is first.

    `put` may be called from any thread, everything else only from the actor's. Deadlines are measured on
    `clock`: with a fake clock they become due when the test advances it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._deadlines: list[tuple[float, int, object]] = []
        self._order = count()

    def put(self, envelope: Any, /) -> None:
        self._queue.put(envelope)

    def after(self, seconds: float, message: object) -> None:
        """Deliver `message` in `seconds`."""
        due_at = self._clock.monotonic() + seconds
        heapq.heappush(self._deadlines, (due_at, next(self._order), message))

    def empty(self) -> bool:
        """Whether `get` would have to wait."""
        return self._queue.empty() and self._seconds_left() != 0

    def waiting(self) -> int:
        """How many messages are queued."""
        return self._queue.qsize()

    def get(self) -> Any:
        while True:
            seconds_left = self._seconds_left()
            if seconds_left == 0:
                return Due(heapq.heappop(self._deadlines)[2])
            with suppress(queue.Empty):
                return self._queue.get(timeout=seconds_left)

    def _seconds_left(self) -> float | None:
        """Until the next deadline: 0 if it has come, None if there is none."""
        if not self._deadlines:
            return None
        return max(0.0, self._deadlines[0][0] - self._clock.monotonic())
