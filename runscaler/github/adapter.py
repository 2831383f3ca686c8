"""requests' adapter for GitHub: cancellable connections with TCP keep-alive and one shared TLS context."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

from runscaler.net.connections import CancellablePool, CancellableTlsPool

if TYPE_CHECKING:
    import ssl

    from urllib3.poolmanager import PoolManager

KEPT_HOSTS = 16
KEPT_CONNECTIONS = 256
"""Idle ones of one host: each scale set of a credential has a poll, beside `MAX_CONCURRENT_CALLS`."""
PROBE_AFTER = 30
PROBE_EVERY = 10
PROBES = 3


def socket_options() -> list[tuple[int, int, int]]:
    """No delay, and probes that find a dead peer within a minute, as a long poll is silent too."""
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


class GitHubAdapter(HTTPAdapter):
    """Trusts what `context` trusts and nothing else. Retries nothing, and waits for no free connection."""

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
        _use_cancellable_pools(self.poolmanager)

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
            _use_cancellable_pools(manager)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to do: requests would load its own CA bundle into the shared context, once a connection.
        A context for each connection would cost 0.7 MB."""


def _use_cancellable_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": CancellablePool, "https": CancellableTlsPool}
