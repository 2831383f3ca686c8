"""A test's direct connection to a guest agent of a fake Mac, without `tart exec`."""

from __future__ import annotations

import socket
import struct
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTINGS_LENGTH = 9


def agent_answers(vm: Path) -> bool:
    """Does it send its first frame, as it does unasked?"""
    with suppress(OSError), _connected(vm) as connection:
        return len(connection.recv(_SETTINGS_LENGTH)) == _SETTINGS_LENGTH
    return False


def order_guest(vm: Path, text: str) -> None:
    """`crash CODE`, `agent SECONDS` or `freeze SECONDS`; returns when the guest has received it."""
    with _connected(vm) as connection:
        connection.sendall(b"o" + struct.pack("!I", len(text)) + text.encode())
        while connection.recv(4096):
            pass


@contextmanager
def _connected(vm: Path) -> Iterator[socket.socket]:
    """To its control.sock, through a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="vm-", dir="/tmp") as folder:
        link = Path(folder) / "vm"
        link.symlink_to(vm)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(link / "control.sock"))
            yield connection
