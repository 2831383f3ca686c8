"""urllib3's connections and requests' adapter, made to serve our calls.

They tell the current `Flight` which socket is in use, keep connections alive on the TCP level, and all
share the one TLS context they are given (a context each costs 0.7 MB).
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from runscaler.github.flight import CutOff, connect_apart, current_flight

if TYPE_CHECKING:
    import ssl

    from urllib3.poolmanager import PoolManager

    from runscaler.github.flight import Flight

KEPT_HOSTS = 16
KEPT_CONNECTIONS = 64
PROBE_AFTER = 30
PROBE_EVERY = 10
PROBES = 3


def socket_options() -> list[tuple[int, int, int]]:
    """No delay, and probes that find a dead peer within a minute (a long poll is silent as well)."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
    for option, value in (
        (idle, PROBE_AFTER),
        (getattr(socket, "TCP_KEEPINTVL", None), PROBE_EVERY),
        (getattr(socket, "TCP_KEEPCNT", None), PROBES),
    ):
        if option is not None:
            options.append((socket.IPPROTO_TCP, option, value))
    return options


class _Cuttable(HTTPConnection):
    """A connection that tells the thread's flight of its socket, and is cut by no flight but the last."""

    _flight: Flight | None = None

    @property
    def is_connected(self) -> bool:
        """The pool asks before it lends a connection again: from here on its former call, which may not
        quite have ended, cannot cut it."""
        if self._flight is not None and self._flight is not current_flight():
            self._flight.land()
        return super().is_connected

    def _new_conn(self) -> socket.socket:
        flight = current_flight()
        if flight is None:
            return super()._new_conn()
        made = connect_apart(super()._new_conn, flight)
        try:
            flight.use(made.fileno())
        except CutOff:
            made.close()
            raise
        self._flight = flight
        return made

    def request(self, *args: Any, **kwargs: Any) -> None:  # urllib3's own signature changes between versions
        flight = current_flight()
        if flight is not None and self.sock is not None:
            flight.use(self.sock.fileno())
            self._flight = flight
        super().request(*args, **kwargs)


class _CuttableTls(_Cuttable, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Cuttable


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _CuttableTls


class WireAdapter(HTTPAdapter):
    """Takes trust from `context` alone; nothing is retried here, nothing waits for a free connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=KEPT_HOSTS, pool_maxsize=KEPT_CONNECTIONS)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        super().init_poolmanager(
            connections,
            maxsize,
            block,
            ssl_context=self._context,
            socket_options=socket_options(),
            **pool_kwargs,
        )
        _use_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(
            proxy,
            ssl_context=self._context,
            proxy_ssl_context=self._context,
            socket_options=socket_options(),
            **proxy_kwargs,
        )
        if not known:
            _use_our_pools(manager)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """requests would load its own bundle into the shared context, once a connection."""


def _use_our_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
