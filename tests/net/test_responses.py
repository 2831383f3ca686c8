"""What is no HTTP is broken off, whatever the server goes on to send (fault F100)."""

from __future__ import annotations

import socket
import threading
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest

from runscaler.net.responses import MAX_LINES, BoundedResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Server:
    """The other end of a connection: sends a beginning, then a piece again and again until that fails."""

    def __init__(self) -> None:
        self.ours, self._theirs = socket.socketpair()
        self._thread: threading.Thread | None = None

    def send(self, beginning: bytes, piece: bytes = b"") -> None:
        self._thread = threading.Thread(target=self._run, args=(beginning, piece), daemon=True)
        self._thread.start()

    def _run(self, beginning: bytes, piece: bytes) -> None:
        with self._theirs:
            try:
                self._theirs.sendall(beginning)
                while piece:
                    self._theirs.sendall(piece)
            except OSError:
                pass

    def close(self) -> None:
        self.ours.close()
        if self._thread is not None:
            self._thread.join(30)
            assert not self._thread.is_alive()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def body(server: Server) -> bytes:
    with BoundedResponse(server.ours, method="GET") as response:
        response.begin()
        return response.read(65536)


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", b"{}"),
        (OK + b"Content-Length: 2, 2\r\n\r\n{}", b"{}"),
        (OK + b"\r\n{}", b"{}"),
        (CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n", b"{}"),
        (CONTINUE * 3 + OK + b"Content-Length: 2\r\n\r\n{}", b"{}"),
        (CHUNKED + b"1\r\nx\r\n" * 2 * MAX_LINES + b"0\r\n\r\n", b"x" * 2 * MAX_LINES),
    ],
)
def test_what_is_well_formed_is_read(server: Server, reply: bytes, read: bytes) -> None:
    server.send(reply)

    assert body(server) == read


def test_a_stream_may_have_any_number_of_chunks_however_it_is_read(server: Server) -> None:
    server.send(CHUNKED + b"1\r\nx\r\n" * 3 * MAX_LINES + b"0\r\n\r\n")
    with BoundedResponse(server.ours, method="GET") as response:
        response.begin()
        for read in (response.read1, response.read, lambda size: response.readinto(bytearray(size))):
            assert all(read(1) for _ in range(MAX_LINES))
        assert response.read() == b""


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        (b"", CONTINUE),
        (OK, b"X-More: 1\r\n"),
        (CHUNKED + b"0\r\n", b"X-More: 1\r\n"),
        (CHUNKED + b"-5\r\n", b"x" * 4096),
        (CHUNKED + b"-1\r\n", b"x" * 4096),
        (OK + b"Content-Length: -5\r\n\r\n", b"x" * 4096),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", b"x" * 4096),
        (OK + b"Content-Length: 22, 2\r\n\r\n", b"x" * 4096),
        (OK + b"Content-Length: 2\r\nContent-Length: 22\r\n\r\n", b"x" * 4096),
        (OK + b"Content-Length: 1_0\r\n\r\n", b"x" * 4096),
        (OK + b"Content-Length:\r\n\r\n", b"x" * 4096),
    ],
)
def test_what_is_malformed_is_broken_off_while_the_server_goes_on(
    server: Server, beginning: bytes, piece: bytes
) -> None:
    server.send(beginning, piece)

    with pytest.raises(HTTPException):
        body(server)
