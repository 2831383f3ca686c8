"""A blocking HTTP call that any thread can cancel, whatever the call is waiting for.

Neither requests nor urllib3 says which socket a call uses. So the connections of `net.connections` look up
the `CancellableCall` of the thread that uses them and give it their socket, which `cancel` then shuts down.
"""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.interrupt import Interrupt

CONNECT_THREAD = "http-connect"
_thread = threading.local()


class CallCancelled(ConnectionError):
    """The call was cancelled, so it takes no further step."""


class CancellableCall:
    """One or more requests that one thread makes in a row. `cancel` may be called from any thread, any
    number of times, at any moment.

    `grace` is how many seconds a request that has been sent may still take after an interrupt.
    """

    def __init__(self, *, grace: float = 0.0) -> None:
        self._grace = grace
        self._lock = threading.Lock()
        self._cancelled = False
        self._connecting: Future[socket.socket] | None = None
        self._connection: object = None
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    @contextmanager
    def running(self, interrupt: Interrupt) -> Iterator[None]:
        """Requests that the body makes on this thread are part of this call; `interrupt` cancels it.

        Raises `Interrupted` in place of whatever the body raises once `interrupt` is set.
        """
        with interrupt.cancelling(self._interrupted):
            outer, _thread.call = current_call(), self
            try:
                yield
            finally:
                _thread.call = outer
                self._finish()

    def cancel(self) -> None:
        """Make the step that blocks return or raise, and every later one raise `CallCancelled`."""
        with self._lock:
            self._cancelled = True
            if self._connecting is not None:
                self._connecting.cancel()
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def connect(self, open_socket: Callable[[], socket.socket]) -> socket.socket:
        """The socket that `open_socket` makes; raises what that raises, `CallCancelled` once cancelled.

        It runs on a thread of its own, because nothing can interrupt a name look-up. The thread of a
        cancelled call is left behind: it closes the socket that nobody waits for any more, and ends.
        """
        opened: Future[socket.socket] = Future()
        with self._lock:
            self._refuse_if_cancelled()
            self._connecting = opened
        thread = threading.Thread(target=_open, args=(open_socket, opened), name=CONNECT_THREAD, daemon=True)
        try:
            thread.start()
            return opened.result()
        except CancelledError:
            raise CallCancelled("the call was cancelled while it connected") from None
        finally:
            with self._lock:
                self._connecting = None

    def use(self, connection: object, sock: socket.socket) -> None:
        """The next request goes over `connection`, whose socket this is. Raises `CallCancelled`.

        The call keeps a duplicate: a TLS handshake takes the original away from its object, and urllib3
        drops it when a reply says "Connection: close", while the body is still being read from it.
        """
        with self._lock:
            self._refuse_if_cancelled()
            self._drop_socket()
            self._connection, self._socket = connection, socket.socket(fileno=os.dup(sock.fileno()))

    def release(self, connection: object) -> None:
        """`connection` serves another call from now on: cancelling this one must not touch it."""
        with self._lock:
            if self._connection is connection:
                self._drop_socket()

    def _interrupted(self) -> None:
        with self._lock:
            if self._grace > 0 and self._socket is not None and self._timer is None:
                self._timer = threading.Timer(self._grace, self.cancel)
                self._timer.daemon = True
                self._timer.start()
        if self._timer is None:
            self.cancel()

    def _finish(self) -> None:
        with self._lock:
            self._drop_socket()
            if self._timer is not None:
                self._timer.cancel()

    def _refuse_if_cancelled(self) -> None:
        if self._cancelled:
            raise CallCancelled("the call was cancelled")

    def _drop_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._connection = self._socket = None


def current_call() -> CancellableCall | None:
    """The call that this thread is making."""
    return getattr(_thread, "call", None)


def _open(open_socket: Callable[[], socket.socket], opened: Future[socket.socket]) -> None:
    try:
        made = open_socket()
    except BaseException as error:  # the caller waits for it
        with suppress(InvalidStateError):
            opened.set_exception(error)
        return
    try:
        opened.set_result(made)
    except InvalidStateError:
        made.close()
