"""Calls for the same image at the same time: one pulls, the others wait and see its progress."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.errors import ImageMissing
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from runscaler.backends.base import Progress
    from runscaler.interrupt import Interrupt


@dataclass(frozen=True, slots=True)
class Ticket:
    """`failures`: how many pulls had failed when its holder came."""

    failures: int


class JoinedPull:
    """The pulls of one image. Thread-safe."""

    def __init__(self) -> None:
        self._turn = InterruptibleSemaphore(1)
        self._lock = threading.Lock()
        self._watching: list[Progress] = []
        self._latest: tuple[str, int, int] | None = None
        self._failures = 0
        self._failure: tuple[Hashable, ImageMissing] | None = None

    @contextmanager
    def joined(self, progress: Progress, interrupt: Interrupt) -> Iterator[Ticket]:
        """Wait for one's turn, while `progress` hears of the pull that runs. Raises `Interrupted`."""
        with self._lock:
            ticket = Ticket(self._failures)
            self._watching.append(progress)
            if self._latest is not None:
                progress(*self._latest)
        try:
            with self._turn.held(interrupt):
                try:
                    yield ticket
                finally:
                    with self._lock:
                        self._latest = None
        finally:
            with self._lock:
                self._watching.remove(progress)

    def tell(self, what: str, done: int, total: int, /) -> None:
        """The progress of the one whose turn it is."""
        with self._lock:
            self._latest = what, done, total
            for progress in self._watching:
                progress(what, done, total)

    def failed(self, way: Hashable, error: ImageMissing) -> None:
        """The one whose turn it is could not pull it that way."""
        with self._lock:
            self._failures += 1
            self._failure = way, error

    def raise_shared(self, ticket: Ticket, way: Hashable) -> None:
        """A pull that ran while one waited failed: whoever goes the same way need not try it again."""
        with self._lock:
            failure = self._failure if self._failures > ticket.failures else None
        if failure is not None and failure[0] == way:
            raise ImageMissing(str(failure[1]), fixes=failure[1].fixes)
