"""TLS in front of a plain server, for clients that come from one address only."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from support.relay import copy_all

if TYPE_CHECKING:
    import ssl

HANDSHAKE_SECONDS = 20.0


class _Session(socketserver.BaseRequestHandler):
    server: TlsFront

    def handle(self) -> None:
        if self.server.only_from and self.client_address[0] != self.server.only_from:
            self.server.refused.append(self.client_address[0])
            return
        self.request.settimeout(HANDSHAKE_SECONDS)
        with suppress(OSError), self.server.context.wrap_socket(self.request, server_side=True) as secure:
            secure.settimeout(None)
            with socket.create_connection(self.server.target) as target:
                back = threading.Thread(target=copy_all, args=(target, secure), name="tls-front", daemon=True)
                back.start()
                copy_all(secure, target)
                back.join()


class TlsFront(socketserver.ThreadingTCPServer):
    """A context: decrypts and forwards to `target`, which may be set after the start.

    `refused` are the addresses of clients that did not come from `only_from`.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, context: ssl.SSLContext, only_from: str = "") -> None:
        self.context, self.only_from = context, only_from
        self.target = ("127.0.0.1", 0)
        self.refused: list[str] = []
        super().__init__((host, 0), _Session)
        self.url = f"https://{host}:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), name="tls-front", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is none."""
