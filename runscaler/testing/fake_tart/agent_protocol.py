"""The protocol between `exec` and the guest agent: first a real HTTP/2 frame, then our own frames.

o  an order of a test to the guest       r  run this command ("-i" or nothing, then its words)
i  standard input, empty at its end      s  the command was started
o, e  its output, its standard error     x  its exit code      f  it could not be started
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

SETTINGS_FRAME = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
CHUNK = 65536


def send_frame(connection: socket.socket, kind: bytes, data: bytes = b"") -> None:
    connection.sendall(kind + struct.pack("!I", len(data)) + data)


def receive_frame(connection: socket.socket) -> tuple[bytes, bytes]:
    """(b"", b"") at the end of the connection."""
    head = receive(connection, 5)
    if len(head) < 5:
        return b"", b""
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], receive(connection, length)


def receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := connection.recv(length - len(data))):
        data += more
    return data
