"""One connection of the daemon through `EngineProxy` to its engine.

HTTP/1.1 without pipelining: one request follows the other. So the head of a request is the one place where a
fault can begin, because then nothing is on its way back.
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from chaos_plan.engine_faults import REFUSAL, ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos_plan.engine_faults import EngineFaults

CHUNK_SIZE = 65536
MAX_HEAD_SIZE = 65536
EVENTS = re.compile(rb"GET (/v[\d.]+)?/events\b")
LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
ENDLESS = re.compile(rb"\r\n(Transfer-Encoding: *chunked|Upgrade:)", re.IGNORECASE)


class ProxyConnection(threading.Thread):
    """Connects to the engine at its first request that passes. `ended` is called last, on this thread."""

    def __init__(
        self,
        client: socket.socket,
        dial: Callable[[], socket.socket],
        faults: EngineFaults,
        ended: Callable[[ProxyConnection], None],
    ) -> None:
        super().__init__(name="proxy-connection", daemon=True)
        self._client, self._dial = client, dial
        self._faults = faults
        self._ended = ended
        self._engine: socket.socket | None = None
        self._replies: threading.Thread | None = None
        self._rest = b""
        self.follows_events = False

    def run(self) -> None:
        try:
            with suppress(OSError, ConnectionClosed):
                while True:
                    self._forward(self._read_head())
        finally:
            self._close()
            self._ended(self)

    def cut(self) -> None:
        """Close both sides. Thread-safe."""
        for side in (self._client, self._engine):
            if side is not None:
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)

    def _forward(self, head: bytes) -> None:
        self._faults.wait()
        if self._faults.refuses(head):
            self._read_body(head)
            self._client.sendall(REFUSAL)
            raise ConnectionClosed
        self.follows_events = EVENTS.match(head) is not None
        engine = self._connected()
        engine.sendall(head)
        if ENDLESS.search(head):
            engine.sendall(self._rest)
            copy_all(self._client, engine)
            raise ConnectionClosed
        engine.sendall(self._read_body(head))

    def _connected(self) -> socket.socket:
        if self._engine is None:
            self._engine = engine = self._dial()
            self._replies = threading.Thread(
                target=copy_all, args=(engine, self._client), name="proxy-replies"
            )
            self._replies.start()
        return self._engine

    def _read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._rest:
            if len(self._rest) > MAX_HEAD_SIZE:
                raise ConnectionClosed
            self._rest += self._read_chunk()
        head, end, self._rest = self._rest.partition(b"\r\n\r\n")
        return head + end

    def _read_body(self, head: bytes) -> bytes:
        """All of it at once: the bodies of the engine's API are small."""
        length = LENGTH.search(head)
        wanted = int(length[1]) if length else 0
        while len(self._rest) < wanted:
            self._rest += self._read_chunk()
        body, self._rest = self._rest[:wanted], self._rest[wanted:]
        return body

    def _read_chunk(self) -> bytes:
        chunk = self._client.recv(CHUNK_SIZE)
        if not chunk:
            raise ConnectionClosed
        return chunk

    def _close(self) -> None:
        self.cut()
        if self._replies is not None:
            self._replies.join()
        for side in (self._client, self._engine):
            if side is not None:
                side.close()


def copy_all(source: socket.socket, destination: socket.socket) -> None:
    """Copy until `source` ends, then close `destination` for writing."""
    with suppress(OSError):
        while chunk := source.recv(CHUNK_SIZE):
            destination.sendall(chunk)
    with suppress(OSError):
        destination.shutdown(socket.SHUT_WR)
