"""The faults that `EngineProxy` applies to calls on their way to the engine."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.clock import Clock

DISK_FULL = b'{"message":"write /var/lib/docker/tmp: no space left on device"}'
REFUSAL = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(DISK_FULL), DISK_FULL)
)
CALLS = {
    "create": re.compile(rb"POST (/v[\d.]+)?/containers/create\b"),
    "start": re.compile(rb"POST (/v[\d.]+)?/containers/\w+/start\b"),
    "delete": re.compile(rb"DELETE (/v[\d.]+)?/containers/\w+\b"),
}


class ConnectionClosed(Exception):
    """One side has closed the connection, or the proxy is closing."""


class EngineFaults:
    """Thread-safe. `hits` counts the calls that met a fault."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._refusals = dict.fromkeys(CALLS, 0)
        self._slow_calls, self._slow_seconds = 0, 0.0
        self._hangs_until = 0.0
        self._closed = False
        self.hits = 0

    def hang(self, seconds: float) -> None:
        """Let all calls wait for that long."""
        with self._changed:
            self._hangs_until = self._clock.monotonic() + seconds

    def slow(self, calls: int, seconds: float) -> None:
        """Delay each of the next `calls` calls."""
        with self._changed:
            self._slow_calls, self._slow_seconds = calls, seconds

    def fill_disk(self, what: str, calls: int) -> None:
        """Refuse the next `calls` calls of the kind `what`, a key of `CALLS`, because the disk is full."""
        with self._changed:
            self._refusals[what] += calls

    def clear(self) -> None:
        """End all faults; calls that wait go on at once."""
        with self._changed:
            self._refusals = dict.fromkeys(CALLS, 0)
            self._slow_calls, self._hangs_until = 0, 0.0
            self._changed.notify_all()

    def close(self) -> None:
        """Let calls that wait fail with `ConnectionClosed`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when the caller's call may go on; `ConnectionClosed` after `close`."""
        with self._changed:
            delayed_until = self._clock.monotonic() + self._next_delay()
            self.hits += self._left(delayed_until) > 0
            while not self._closed and (left := self._left(delayed_until)) > 0:
                self._changed.wait(left)
            if self._closed:
                raise ConnectionClosed

    def refuses(self, head: bytes) -> bool:
        """Whether the call with this request head finds the disk full; counts it if so."""
        with self._changed:
            what = next(
                (what for what, left in self._refusals.items() if left and CALLS[what].match(head)), ""
            )
            if what:
                self._refusals[what] -= 1
                self.hits += 1
            return bool(what)

    def _next_delay(self) -> float:
        if self._slow_calls <= 0:
            return 0.0
        self._slow_calls -= 1
        return self._slow_seconds

    def _left(self, delayed_until: float) -> float:
        return max(delayed_until, self._hangs_until) - self._clock.monotonic()
