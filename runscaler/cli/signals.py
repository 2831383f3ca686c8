"""Lets the main thread wait for signals and other events in one queue, without missing any."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NoReturn, Self

from runscaler.cli.exit_codes import drop_lost_terminal
from runscaler.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from types import FrameType, TracebackType

    from runscaler.clock import Clock

    Handler = Callable[[int, FrameType | None], None]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SAME_SIGNAL_SECONDS = 0.5
"""A stop signal that comes sooner after the first counts as the same one (docs/behaviour.md § 8.3)."""


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


class StopOrder:
    """Tells the first stop signal from the second one.

    Shells, terminals and `timeout` signal a process and its group, so that the same signal comes twice: what
    comes within 0.5 s of the first counts as the same. SIGHUP is never a second signal, as a terminal that
    goes sends it several times.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first_at: float | None = None

    def is_first(self) -> bool:
        """Note a stop signal; True for the first."""
        if self._first_at is not None:
            return False
        self._first_at = self._clock.monotonic()
        return True

    def is_second(self, number: int) -> bool:
        """Whether this signal is a second one."""
        if number not in STOP_SIGNALS or self._first_at is None:
            return False
        return self._clock.monotonic() - self._first_at >= SAME_SIGNAL_SECONDS


def has_terminal() -> bool:
    """Whether this process was started on a terminal, and not by a service manager, cron or `setsid`."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def all_stop_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM, SIGINT and, unless `nohup` made this process ignore it, SIGHUP."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return STOP_SIGNALS if ignored else (*STOP_SIGNALS, signal.SIGHUP)


def exit_at_once(number: int, text: str) -> NoReturn:
    """For signal handlers: print one line and exit without any clean-up."""
    with suppress(OSError):
        os.write(2, text.encode() + b"\n")
    os._exit(128 + number)


@contextmanager
def queue_signals(
    queue: SignalQueue, stops: Collection[signal.Signals] = STOP_SIGNALS, clock: Clock | None = None
) -> Iterator[None]:
    """Put SIGTERM, SIGINT and SIGHUP into the queue. A second stop signal exits the process at once.

    Of several stop signals that count as one, the first is put. The handler may interrupt the main thread
    anywhere, so it takes no lock and logs nothing.
    """
    order = StopOrder(clock or SystemClock())

    def handle(number: int, _frame: FrameType | None) -> None:
        if order.is_second(number):
            exit_at_once(number, "second signal: exiting at once; the next start adopts running runners")
        drop_lost_terminal()
        if number not in stops or order.is_first():
            queue.put(signal.Signals(number))

    with signal_handler(handle, *all_stop_signals()), queue:
        yield


class ExitOnSignals:
    """A context manager: the first SIGTERM, SIGINT or SIGHUP raises SystemExit in the main thread, so that
    the block cleans up.

    No other signal interrupts the clean-up, but a second one ends the process at once.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._order = StopOrder(clock or SystemClock())
        self._held = False
        self._pending: int | None = None

    def __enter__(self) -> Self:
        self._installed = signal_handler(self._handle, *all_stop_signals())
        self._installed.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._installed.__exit__(kind, error, trace)

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Let the block run to its end; a signal that comes meanwhile raises SystemExit then."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._pending is not None:
            sys.exit(self._pending)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        drop_lost_terminal()
        if self._order.is_second(number):
            exit_at_once(number, "second signal: exiting at once; the next demo removes what is left")
        if not self._order.is_first():
            return
        if not self._held:
            sys.exit(128 + number)
        self._pending = 128 + number
