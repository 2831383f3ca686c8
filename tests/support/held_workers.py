"""WorkerPool that wait until the test lets them work."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from runscaler.testing.probe import InlineWorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable


class HeldWorkerPool(InlineWorkerPool):
    """Calls wait in `waiting` until the test makes them with `do_one`, on its own thread."""

    def __init__(self, name: str, width: int, tell: Callable[[object], None]) -> None:
        super().__init__(name, width, tell)
        self.waiting: deque[tuple[Any, Any, Any]] = deque()
        self.closed = False

    def submit(self, call: Any, done: Any, failed: Any) -> None:
        self.waiting.append((call, done, failed))

    def do_one(self) -> None:
        super().submit(*self.waiting.popleft())

    def close(self) -> None:
        super().close()
        self.closed = True
