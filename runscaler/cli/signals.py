"""What a daemon in the foreground waits for: signals, and the end of the system. Nothing is missed."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class News:
    """Signals and words, in the order of their arrival, for the main thread; a context.

    Python runs a signal's handler between two instructions of the main thread. A signal that comes
    after the last of them, just before the thread blocks in a queue, would wait there until the queue
    has something; so would one that the system gives to another thread. A byte on a socket, which
    Python itself sends at once (`signal.set_wakeup_fd`), ends the wait in every case.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[signal.Signals | str] = SimpleQueue()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)

    def __enter__(self) -> Self:
        self._before = signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._before)
        self._bell.close()
        self._ear.close()

    def put(self, what: signal.Signals | str) -> None:
        """From any thread, also within a signal's handler: it takes no lock of ours."""
        self._queue.put(what)
        with suppress(OSError):  # so full of rings that it is heard anyway, or nobody listens any more
            self._bell.send(b"\0")

    def get(self) -> signal.Signals | str:
        """Block until there is something."""
        while True:
            with suppress(Empty):
                return self._queue.get_nowait()
            self._ear.recv(4096)


@contextmanager
def heard_by(news: News) -> Iterator[None]:
    """Signals become news. The second one to stop leaves at once, whatever the program is doing.

    A handler runs between any two instructions of the main thread, so it takes no lock and logs nothing.
    """
    asked = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if number in STOP_SIGNALS:
            if asked:
                os.write(2, b"second signal: leaving at once; the next start takes over what runs\n")
                os._exit(128 + number)
            asked = True
        news.put(signal.Signals(number))

    wanted = (*STOP_SIGNALS, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in wanted}
    try:
        with news:
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
