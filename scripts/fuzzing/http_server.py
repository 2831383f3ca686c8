"""The health server on a real socket: whatever a client sends, it is answered, and the next one is served."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from functools import cache

from runscaler.clock import SystemClock
from runscaler.status import Status
from runscaler.web.app import WebApp
from runscaler.web.server import HealthServer, bind

PATIENCE = 10.0
"""Seconds. Nothing that it is sent may hold up an answer so long."""
STATUS_LINE = re.compile(rb"HTTP/1\.[01] [2-5][0-9][0-9] ")


@cache
def _server() -> tuple[HealthServer, socket.socket]:
    """One that runs until `stop`."""
    listener, clock = bind("127.0.0.1", 0), SystemClock()
    status = Status(version="1", started_at=clock.wall())
    server = HealthServer(listener, WebApp(lambda: status, lambda: True, clock, loopback_only=True))
    server.start()
    return server, listener


def stop() -> None:
    """Harmless if none runs."""
    if _server.cache_info().currsize:
        server, listener = _server()
        _server.cache_clear()
        server.stop()
        listener.close()


def talk(data: bytes) -> None:
    """Send it, then nothing more. Raises if the reply is no HTTP, or the server serves nobody any more."""
    reply = _reply(data)
    if reply and not STATUS_LINE.match(reply):
        raise AssertionError(f"no answer of a web server: {reply[:80]!r}")
    if not _reply(b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.0 200 "):
        raise AssertionError("it does not answer /livez any more")


def _reply(data: bytes) -> bytes:
    """All that it sends. Raises `TimeoutError` if it goes on for too long without closing."""
    received = bytearray()
    address = _server()[1].getsockname()
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        try:
            connection.sendall(data)
            with suppress(OSError):  # it has closed the connection already
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        except (BrokenPipeError, ConnectionResetError):
            pass  # it had seen enough
    return bytes(received)
