"""Threads for calls that an actor must not make itself; each answer comes back as a message.

Ours rather than an executor's: those threads are joined when the interpreter exits, and one stuck
pull would hold up "out at once".
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

from loguru import logger

from runscaler.actors.base import rendered
from runscaler.actors.messages import WorkerCrashed
from runscaler.errors import RunscalerError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class WorkerPool:
    """At most `width` daemon threads, made when first needed. `tell` is called on them."""

    def __init__(self, name: str, width: int, tell: Callable[[object], None]) -> None:
        self._name, self._width, self._tell = name, width, tell
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(
        self,
        call: Callable[[], T],
        done: Callable[[T], object],
        failed: Callable[[RunscalerError], object],
    ) -> None:
        """Run `call`; tell what `done` or `failed` make of its outcome. For the owner's thread."""
        self._jobs.put(lambda: self.run(call, done, failed))
        if len(self._threads) < self._width and not self._closed:
            thread = threading.Thread(
                target=self._work, name=f"{self._name} {len(self._threads)}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Let them end after what they are at; nothing is told any more."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._closed:
            job()

    def run(
        self,
        call: Callable[[], T],
        done: Callable[[T], object],
        failed: Callable[[RunscalerError], object],
    ) -> None:
        """Do one piece of work on this very thread, and tell the outcome."""
        try:
            answer = done(call())
        except RunscalerError as error:
            answer = failed(error)
        except BaseException as error:  # a library's sys.exit() must not leave the owner waiting
            logger.error("{} crashed: {}", threading.current_thread().name, type(error).__name__)
            answer = WorkerCrashed(rendered(error))
        if not self._closed:
            self._tell(answer)
