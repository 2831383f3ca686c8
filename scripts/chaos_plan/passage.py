"""One connection from the daemon to its engine.

It carries one request after another, never two at once. So a request's head is the one place where a
fault may begin: nothing is on its way back then.
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from chaos_plan.engine_trouble import REFUSAL, Gone

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos_plan.engine_trouble import EngineTrouble

PIECE = 65536
LONGEST_HEAD = 65536
EVENTS = re.compile(rb"GET (/v[\d.]+)?/events\b")
LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
ENDLESS = re.compile(rb"\r\n(Transfer-Encoding: *chunked|Upgrade:)", re.IGNORECASE)


class Passage(threading.Thread):
    """Dials the engine at its first request that gets through; `ended` is called last, on its thread."""

    def __init__(
        self,
        client: socket.socket,
        dial: Callable[[], socket.socket],
        trouble: EngineTrouble,
        ended: Callable[[Passage], None],
    ) -> None:
        super().__init__(name="passage", daemon=True)
        self._client, self._dial = client, dial
        self._trouble = trouble
        self._ended = ended
        self._engine: socket.socket | None = None
        self._back: threading.Thread | None = None
        self._rest = b""
        self.follows_events = False

    def run(self) -> None:
        try:
            with suppress(OSError, Gone):
                while True:
                    self._pass_on(self._head())
        finally:
            self._close()
            self._ended(self)

    def cut(self) -> None:
        """Both sides see the end. From any thread."""
        for end in (self._client, self._engine):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, head: bytes) -> None:
        self._trouble.wait()
        if self._trouble.refuses(head):
            self._body(head)
            self._client.sendall(REFUSAL)
            raise Gone
        self.follows_events = EVENTS.match(head) is not None
        engine = self._connected()
        engine.sendall(head)
        if ENDLESS.search(head):
            engine.sendall(self._rest)
            pour(self._client, engine)
            raise Gone
        engine.sendall(self._body(head))

    def _connected(self) -> socket.socket:
        if self._engine is None:
            self._engine = engine = self._dial()
            self._back = threading.Thread(target=pour, args=(engine, self._client), name="passage back")
            self._back.start()
        return self._engine

    def _head(self) -> bytes:
        while b"\r\n\r\n" not in self._rest:
            if len(self._rest) > LONGEST_HEAD:
                raise Gone
            self._rest += self._piece()
        head, end, self._rest = self._rest.partition(b"\r\n\r\n")
        return head + end

    def _body(self, head: bytes) -> bytes:
        """Whole: the bodies of the API's calls are small."""
        length = LENGTH.search(head)
        wanted = int(length[1]) if length else 0
        while len(self._rest) < wanted:
            self._rest += self._piece()
        body, self._rest = self._rest[:wanted], self._rest[wanted:]
        return body

    def _piece(self) -> bytes:
        piece = self._client.recv(PIECE)
        if not piece:
            raise Gone
        return piece

    def _close(self) -> None:
        self.cut()
        if self._back is not None:
            self._back.join()
        for end in (self._client, self._engine):
            if end is not None:
                end.close()


def pour(source: socket.socket, target: socket.socket) -> None:
    """All that comes, then the end."""
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
