"""Connections that are cancelled while they are made, or used by one call after another."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from runscaler.interrupt import Interrupt
from runscaler.net.cancellable import CallCancelled, CancellableCall
from runscaler.net.connections import CancellableConnection

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


class CancelledOnceConnected(CancellableCall):
    """Cancelled in the moment between the connect and the first use of the socket."""

    def use(self, connection: object, sock: socket.socket) -> None:
        self.cancel()
        super().use(connection, sock)


def test_a_call_that_is_cancelled_just_when_it_has_connected_closes_its_socket(server: socket.socket) -> None:
    connection = CancellableConnection(*server.getsockname())

    with CancelledOnceConnected().running(Interrupt()), pytest.raises(CallCancelled) as cancelled:
        connection.connect()

    accepted, _ = server.accept()
    with accepted:
        accepted.settimeout(10)
        assert accepted.recv(1) == b""
    assert cancelled.traceback  # its frames keep the socket alive for whoever forgot to close it


def test_a_call_is_still_cancelled_after_a_connection_it_used_before_serves_another(
    server: socket.socket,
) -> None:
    earlier, later = (CancellableConnection(*server.getsockname()) for _ in range(2))
    call = CancellableCall()
    with call.running(Interrupt()):
        earlier.connect()
        later.connect()
        with CancellableCall().running(Interrupt()):
            assert earlier.is_connected

        call.cancel()

        assert later.sock is not None
        assert later.sock.recv(1) == b""
        assert earlier.is_connected, "it is the other call's now"
    earlier.close()
    later.close()


def test_a_connection_without_a_call_is_urllib3s_own(server: socket.socket) -> None:
    connection = CancellableConnection(*server.getsockname())

    connection.connect()

    assert connection.is_connected
    connection.close()
