"""Connections that are cut while they are made."""

from __future__ import annotations

import socket

import pytest

from runscaler.github.connections import _Cuttable
from runscaler.github.flight import CutOff, Flight, flying


class CutOnceConnected(Flight):
    """Its call is cut in the moment between the connect and the first use of the socket."""

    def use(self, descriptor: int) -> None:
        self.cut()
        super().use(descriptor)


def test_a_call_that_is_cut_just_when_it_has_connected_closes_its_socket():
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = _Cuttable(*server.getsockname())

        with flying(CutOnceConnected()), pytest.raises(CutOff) as cut:
            connection.connect()

        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(10)
            assert accepted.recv(1) == b""
        assert cut.traceback  # its frames keep the socket alive for whoever forgot to close it
