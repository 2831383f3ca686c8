"""Streams over real sockets: they hold no thread, nobody waits for them, and they end with the server."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from runscaler.clock import SystemClock
from runscaler.events import RunnerRemoved
from runscaler.status import Status
from runscaler.web.app import WebApp
from runscaler.web.connections import MAX_CONNECTIONS
from runscaler.web.live import MAX_STREAMS, Live
from runscaler.web.open_replies import MAX_UNSENT
from runscaler.web.server import THREADS, HealthServer, bind

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Served:
    """A server whose streams are told when `live.turn` is called."""

    def __init__(self) -> None:
        self.all_threads = threading.Barrier(THREADS)
        status = Status("1.2.3", 1_800_000_000.0)
        self.live = Live(lambda: status, SystemClock())
        self.listener = bind("127.0.0.1", 0)
        app = WebApp(lambda: status, self._alive, SystemClock(), self.live)
        self.server = HealthServer(self.listener, app)
        self.server.start()
        self.open = ExitStack()

    def _alive(self) -> bool:
        """Answers when all threads of the server ask at once."""
        self.all_threads.wait(20)
        return True

    def client(self, request: bytes = ASK) -> socket.socket:
        made = self.open.enter_context(socket.create_connection(self.listener.getsockname(), timeout=20))
        made.sendall(request)
        return made

    def stream(self, request: bytes = ASK) -> socket.socket:
        """A client whose stream has begun."""
        made = self.client(request)
        received_until(made, b'"resumed":false}\n\n' + b"\r\n" * (b"HTTP/1.1" in request))
        return made

    def readyz(self) -> bytes:
        return self.client(b"GET /readyz HTTP/1.0\r\n\r\n").recv(4096)

    def happen(self, reason: str = "") -> None:
        self.live.hear(RunnerRemoved(at=1.0, slot=0, runner="r", reason=reason))
        self.live.turn()

    def close(self) -> None:
        self.server.stop()
        self.open.close()
        self.listener.close()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


def received_until(client: socket.socket, wanted: bytes) -> bytes:
    """What came up to and with `wanted`; the test fails if the connection ends before."""
    got = b""
    while wanted not in got:
        piece = client.recv(65536)
        assert piece, f"{wanted!r} did not come after {got!r}"
        got += piece
    return got


def received_to_the_end(client: socket.socket) -> bytes:
    got = b""
    while piece := client.recv(65536):
        got += piece
    return got


def test_streams_hold_no_thread_of_the_server(served):
    assert MAX_STREAMS > THREADS
    streams = [served.stream() for _ in range(MAX_STREAMS)]

    probes = [served.client(b"GET /livez HTTP/1.0\r\n\r\n") for _ in range(THREADS)]
    assert all(b"200 OK" in probe.recv(4096) for probe in probes)
    assert served.client().recv(4096).startswith(b"HTTP/1.1 503 ")
    served.happen("for all of them")
    for stream in streams:
        received_until(stream, b"for all of them")


def test_a_stream_that_its_client_left_makes_room_for_another(served):
    streams = [served.stream() for _ in range(MAX_STREAMS)]
    streams[7].shutdown(socket.SHUT_WR)
    assert received_to_the_end(streams[7]) == b""

    served.stream()


def test_what_is_sent_is_chunked_or_for_http_1_0_not(served):
    new = served.stream()
    old = served.stream(b"GET /api/v1/events HTTP/1.0\r\n\r\n")

    served.happen("x" * 50)

    frame = received_until(new, b"\n\n\r\n")
    size, _, rest = frame.partition(b"\r\n")
    assert int(size, 16) == len(rest.removesuffix(b"\r\n"))
    assert received_until(old, b"\n\n") == rest.removesuffix(b"\r\n")


def test_a_client_that_does_not_read_is_dropped_and_the_others_go_on(served):
    slow, good = served.stream(), served.stream()
    channels = list(served.server._server.active_channels.values())
    sent = most = 0
    while len(served.server._server.active_channels) == len(channels):
        served.happen("y" * 60_000)
        received_until(good, b"\n\n\r\n")
        sent += 60_000
        most = max(most, *(channel.total_outbufs_len for channel in channels))
        assert sent < 64 * 1024 * 1024, "it is never dropped"

    assert most < MAX_UNSENT + 100_000
    served.happen("still here")
    received_until(good, b"still here")
    slow.close()


def test_silent_connections_do_not_push_streams_out(served):
    stream = served.stream()
    for _ in range(MAX_CONNECTIONS + 20):
        served.client(b"")
    assert b"200 OK" in served.readyz()

    served.happen("still here")

    received_until(stream, b"still here")


def test_a_request_behind_that_for_a_stream_is_not_answered_into_it(served):
    readyz = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    stream = served.stream(ASK + readyz)
    stream.sendall(readyz)
    assert b"200 OK" in served.readyz(), "what was sent before has been read by now"

    served.happen("the only thing that comes")

    got = received_until(stream, b"the only thing that comes")
    assert b"HTTP/1.1" not in got


def test_a_stop_ends_the_streams_and_waits_for_none(served):
    streams = [served.stream() for _ in range(3)]

    served.server.stop()

    assert not served.server.serving
    for stream in streams:
        assert received_to_the_end(stream) == b"0\r\n\r\n"
    served.happen("after the end")


def test_a_stop_does_not_wait_for_a_stream_that_is_not_read(served):
    served.stream()
    for _ in range(10):
        served.happen("y" * 60_000)

    served.server.stop()

    assert not served.server.serving


def test_a_client_that_goes_before_its_stream_begins_holds_no_place(served):
    for _ in range(3 * MAX_STREAMS):
        made = socket.create_connection(served.listener.getsockname(), timeout=20)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        made.sendall(ASK)
        made.close()

    begun = 0
    while begun < MAX_STREAMS:
        begun += b"200 OK" in received_until(served.client(), b"\r\n\r\n")
