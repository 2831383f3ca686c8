"""Lets the main thread wait for signals and other events in one queue, without missing any."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

    Handler = Callable[[int, FrameType | None], None]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class SignalQueue:
    """Signals and texts for the main thread, in order of arrival. A context manager.

    Python runs signal handlers between two bytecode instructions of the main thread. If a signal arrives
    just before the main thread blocks in `queue.get`, or if the kernel delivers it to another thread, the
    handler would run only after `get` returns. Therefore the main thread waits for a byte on a socket, which
    Python's C-level handler writes at once (`signal.set_wakeup_fd`).
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[signal.Signals | str] = SimpleQueue()
        self._wake_sender, self._wake_receiver = socket.socketpair()
        self._wake_sender.setblocking(False)

    def __enter__(self) -> Self:
        self._before = signal.set_wakeup_fd(self._wake_sender.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._before)
        self._wake_sender.close()
        self._wake_receiver.close()

    def put(self, item: signal.Signals | str) -> None:
        """May be called on any thread and in a signal handler, as it takes no lock."""
        self._queue.put(item)
        with suppress(OSError):  # the buffer is full, so the receiver wakes anyway; or it is closed
            self._wake_sender.send(b"\0")

    def get(self) -> signal.Signals | str:
        """Wait for the next item. Only for the main thread."""
        while True:
            with suppress(Empty):
                return self._queue.get_nowait()
            self._wake_receiver.recv(4096)


@contextmanager
def signal_handler(handle: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Install a signal handler; the earlier handlers are restored at the end of the block."""
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def queue_signals(queue: SignalQueue) -> Iterator[None]:
    """Put SIGTERM, SIGINT and SIGHUP into the queue. The second stop signal exits the process at once.

    The handler may interrupt the main thread anywhere, so it takes no lock and logs nothing.
    """
    stopping = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if number in STOP_SIGNALS:
            if stopping:
                os.write(2, b"second signal: exiting at once; the next start adopts running runners\n")
                os._exit(128 + number)
            stopping = True
        queue.put(signal.Signals(number))

    with signal_handler(handle, *STOP_SIGNALS, signal.SIGHUP), queue:
        yield
