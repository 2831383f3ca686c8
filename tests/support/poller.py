"""A witness: looks at something all the time, on a thread of its own, for as long as the context is open."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Poller:
    """Subclasses look once in `look`, on that thread; `glance` seconds lie between two looks."""

    def __init__(self, name: str, glance: float) -> None:
        self._glance = glance
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def look(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._glance):
            self.look()
