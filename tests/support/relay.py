"""A second path to a Unix socket, which a test can close, as socat would make one."""

from __future__ import annotations

import shutil
import socket
import socketserver
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

CHUNK_SIZE = 65536


class _Pipe(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as target:
            target.connect(self.server.target)
            back = threading.Thread(target=copy_all, args=(target, self.request), name="relay", daemon=True)
            back.start()
            copy_all(self.request, target)
            back.join()


class Relay(socketserver.ThreadingUnixStreamServer):
    """A context: forwards from the socket `path` to the socket `target`."""

    daemon_threads = True

    def __init__(self, target: str, path: Path) -> None:
        self.target = target
        self.path = path
        super().__init__(str(path), _Pipe)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), name="relay", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class ShortFolder:
    """A context with a folder whose path is short enough for Unix sockets in it."""

    def __enter__(self) -> Path:
        self._path = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path)


def copy_all(source: socket.socket, destination: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(CHUNK_SIZE):
            destination.sendall(chunk)
    for end, how in ((destination, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with suppress(OSError):
            end.shutdown(how)
