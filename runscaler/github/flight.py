"""A call on the wire that another thread can cut, in whatever phase it is.

`requests` does not tell which socket it uses, so the connection classes in `connections` do: the thread's
current `Flight` learns of each step that blocks and how to end it.

- Looking the name up and connecting happen on a thread of their own, because nothing can break off a
  name look-up; who is cut leaves it behind, and it ends by itself.
- From then on the flight holds a duplicate of the socket and shuts it down. A duplicate, because the TLS
  handshake takes the original away from its object, and a finished reply may close it.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_here = threading.local()


class CutOff(ConnectionError):
    """The flight was cut before this step."""


class Flight:
    """What one call is blocked in; `cut` may be called from any thread, at any time, more than once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._wake: Callable[[], None] | None = None
        self._was_cut = False

    @property
    def was_cut(self) -> bool:
        return self._was_cut

    def cut(self) -> None:
        """Make the step that blocks return or raise, and those to come raise."""
        with self._lock:
            self._was_cut = True
            if self._wake is not None:
                self._wake()
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def use(self, descriptor: int) -> None:
        """The call goes on over this socket."""
        with self._lock:
            self._refuse_if_cut()
            self._drop_socket()
            self._socket = socket.socket(fileno=os.dup(descriptor))

    @contextmanager
    def waiting(self, wake: Callable[[], None]) -> Iterator[None]:
        """The body waits for something that `wake` ends."""
        with self._lock:
            self._refuse_if_cut()
            self._wake = wake
        try:
            yield
        finally:
            with self._lock:
                self._wake = None

    def land(self) -> None:
        """Its socket is another's now, or nobody's: no cut reaches it any more. From any thread."""
        with self._lock:
            self._drop_socket()

    def _refuse_if_cut(self) -> None:
        if self._was_cut:
            raise CutOff("the call was cut")

    def _drop_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@contextmanager
def flying(flight: Flight) -> Iterator[None]:
    """Make it this thread's current flight."""
    _here.flight = flight
    try:
        yield
    finally:
        _here.flight = None
        flight.land()


def current_flight() -> Flight | None:
    return getattr(_here, "flight", None)


def connect_apart(connect: Callable[[], socket.socket], flight: Flight) -> socket.socket:
    """Run `connect` on a thread of its own; raises what it raises, or `CutOff` as soon as cut."""
    attempt = _Attempt(connect)
    with flight.waiting(attempt.done.set):
        threading.Thread(target=attempt.run, name="github-connect", daemon=True).start()
        attempt.done.wait()
    return attempt.outcome()


class _Attempt:
    """One connect, and who closes its socket when nobody waits for it any more."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self.done = threading.Event()
        self._connect = connect
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._error: Exception | None = None
        self._abandoned = False

    def run(self) -> None:
        try:
            made = self._connect()
        except (OSError, HTTPError, ValueError) as error:
            self._error = error
        else:
            self._keep(made)
        finally:
            self.done.set()

    def _keep(self, made: socket.socket) -> None:
        with self._lock:
            if self._abandoned:
                made.close()
            else:
                self._socket = made

    def outcome(self) -> socket.socket:
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._socket is None:
                self._abandoned = True
                raise CutOff("the call was cut while it connected")
            return self._socket
