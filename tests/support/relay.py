"""A second door to a Unix socket, which a test may lock, as socat would make one."""

from __future__ import annotations

import shutil
import socket
import socketserver
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

PIECE = 65536


class _Pipe(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as beyond:
            beyond.connect(self.server.beyond)
            back = threading.Thread(target=_pour, args=(beyond, self.request), name="relay", daemon=True)
            back.start()
            _pour(self.request, beyond)
            back.join()


class Relay(socketserver.ThreadingUnixStreamServer):
    """A context: `path` leads to the socket `beyond` while it is open."""

    daemon_threads = True

    def __init__(self, beyond: str, path: Path) -> None:
        self.beyond = beyond
        self.path = path
        super().__init__(str(path), _Pipe)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), name="relay", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class ShortFolder:
    """A folder whose path is short, as that of a Unix socket must be; a context."""

    def __enter__(self) -> Path:
        self._path = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path)


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    for end, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with suppress(OSError):
            end.shutdown(how)
