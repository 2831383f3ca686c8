"""Threads for calls that an actor must not make on its own; each result comes back to it as a message.

`ThreadPoolExecutor` will not do: the interpreter joins its threads at exit, so one hanging image pull would
keep the process alive after a second signal has asked it to exit at once.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

from loguru import logger

from runscaler.actors.messages import WorkerCrashed
from runscaler.errors import RunscalerError
from runscaler.threads import error_text, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class WorkerPool:
    """At most `width` daemon threads, started when first needed. `tell` gets each result, on one of them."""

    def __init__(self, name: str, width: int, tell: Callable[[object], None]) -> None:
        self._name, self._width, self._tell = name, width, tell
        self._tasks: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(
        self,
        call: Callable[[], T],
        done: Callable[[T], object],
        failed: Callable[[RunscalerError], object],
    ) -> None:
        """Run `call` on a thread of the pool; tell the message that `done` or `failed` makes of its outcome.

        Any error but `RunscalerError` is told as `WorkerCrashed`. To be called on the owner's thread only.
        """
        self._tasks.put(lambda: self.run(call, done, failed))
        if len(self._threads) < self._width and not self._closed:
            name = f"{self._name} {len(self._threads)}"
            self._threads.append(start_thread(self._work, name, self._tell_crash))

    def close(self) -> None:
        """Let each thread end after its current call, whose result is not told any more. Does not wait."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)

    def _tell_crash(self, error: str) -> None:
        """What `run` does not catch came from telling a result: the owner ends, and makes a new pool."""
        if not self._closed:
            self._tell(WorkerCrashed(error))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None and not self._closed:
            task()

    def run(
        self,
        call: Callable[[], T],
        done: Callable[[T], object],
        failed: Callable[[RunscalerError], object],
    ) -> None:
        """Like `submit`, but on the calling thread."""
        try:
            answer = done(call())
        except RunscalerError as error:
            answer = failed(error)
        except BaseException as error:  # SystemExit too: without an answer the owner would wait for ever
            logger.error("{} crashed: {}", threading.current_thread().name, type(error).__name__)
            answer = WorkerCrashed(error_text(error))
        if not self._closed:
            self._tell(answer)
