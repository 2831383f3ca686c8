"""What is wrong with an engine at this moment, as calls meet it on their way."""

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


class Gone(Exception):
    """One of the two sides has hung up, or the door between them was closed."""


class EngineTrouble:
    """Thread-safe. `hits` counts calls that met any of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._refusals = dict.fromkeys(CALLS, 0)
        self._slow_calls, self._slow_seconds = 0, 0.0
        self._silent_until = 0.0
        self._over = False
        self.hits = 0

    def hang(self, seconds: float) -> None:
        """No call goes on before that."""
        with self._changed:
            self._silent_until = self._clock.monotonic() + seconds

    def slow(self, calls: int, seconds: float) -> None:
        with self._changed:
            self._slow_calls, self._slow_seconds = calls, seconds

    def fill(self, what: str, calls: int) -> None:
        """The next so many of `what` (a key of `CALLS`) find the disk full."""
        with self._changed:
            self._refusals[what] += calls

    def mend(self) -> None:
        """From here on all calls pass at once."""
        with self._changed:
            self._refusals = dict.fromkeys(CALLS, 0)
            self._slow_calls, self._silent_until = 0, 0.0
            self._changed.notify_all()

    def close(self) -> None:
        """Calls that wait are gone."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when a call may go on; `Gone` after `close`."""
        with self._changed:
            own = self._clock.monotonic() + self._own_delay()
            self.hits += self._left(own) > 0
            while not self._over and (left := self._left(own)) > 0:
                self._changed.wait(left)
            if self._over:
                raise Gone

    def refuses(self, head: bytes) -> bool:
        """Whether this call's head meets a full disk."""
        with self._changed:
            what = next(
                (what for what, left in self._refusals.items() if left and CALLS[what].match(head)), ""
            )
            if what:
                self._refusals[what] -= 1
                self.hits += 1
            return bool(what)

    def _own_delay(self) -> float:
        if self._slow_calls <= 0:
            return 0.0
        self._slow_calls -= 1
        return self._slow_seconds

    def _left(self, own: float) -> float:
        return max(own, self._silent_until) - self._clock.monotonic()
