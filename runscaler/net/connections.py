"""urllib3's connections, which make themselves known to the call that uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from runscaler.net.cancellable import CallCancelled, current_call
from runscaler.net.responses import BoundedResponse

if TYPE_CHECKING:
    import socket

    from runscaler.net.cancellable import CancellableCall


class CancellableConnection(HTTPConnection):
    """A connection that only the call which uses it now can shut. Without a current call: urllib3's own."""

    response_class = BoundedResponse
    _call: CancellableCall | None = None

    @property
    def is_connected(self) -> bool:
        """The pool asks before it hands out a connection that it kept: from here on the previous call,
        which may not quite have ended, no longer reaches it."""
        if self._call is not None and self._call is not current_call():
            self._call.release(self)
        return super().is_connected

    def _new_conn(self) -> socket.socket:
        call = current_call()
        opened = call.connect(super()._new_conn) if call is not None else super()._new_conn()
        return self.used(opened)

    def used(self, opened: socket.socket) -> socket.socket:
        """`opened`, which the current call can shut from now on; closed if that has been cancelled."""
        try:
            self._register(opened)
        except CallCancelled:
            opened.close()
            raise
        return opened

    def request(self, *args: Any, **kwargs: Any) -> None:  # urllib3's own signature changes between versions
        if self.sock is not None:
            self._register(self.sock)
        super().request(*args, **kwargs)

    def _register(self, sock: socket.socket) -> None:
        self._call = current_call()
        if self._call is not None:
            self._call.use(self, sock)


class CancellableTlsConnection(CancellableConnection, HTTPSConnection):
    """The same over TLS."""


class CancellablePool(HTTPConnectionPool):
    """A pool of cancellable connections to one host."""

    ConnectionCls = CancellableConnection


class CancellableTlsPool(HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = CancellableTlsConnection
