"""`exec`: runs a command in a guest through its agent."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING, Any

from runscaler.testing.fake_tart.agent_protocol import (
    CHUNK,
    SETTINGS_FRAME,
    receive,
    receive_frame,
    send_frame,
)
from runscaler.testing.fake_tart.output import Failure, validation_error, vm_missing, write_all
from runscaler.testing.fake_tart.vms import Vm

if TYPE_CHECKING:
    import socket

    from runscaler.testing.fake_tart.call import Call


def run(call: Call) -> int:
    vm = Vm(call.home, call.name)
    if not vm.exists():
        raise vm_missing(vm.name)
    if not vm.pid():
        raise Failure(f'VM "{vm.name}" is not running', 2)
    call.knobs.pause("exec_connect")
    connection = connect(call, vm)
    interactive = call.has("-i", "--interactive")
    words = ["-i" if interactive else "", *call.words[1:]]
    send_frame(connection, b"r", b"\0".join(word.encode(errors="surrogateescape") for word in words))
    return RemoteCommand(call, connection, interactive=interactive).wait()


def connect(call: Call, vm: Vm) -> socket.socket:
    """Retries with growing pauses, as gRPC does."""
    import socket

    os.chdir(vm.path)
    until = time.monotonic() + call.knobs.seconds("exec_patience")
    pause, why = call.knobs.seconds("exec_pause"), ""
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect("control.sock")
            if receive(connection, len(SETTINGS_FRAME)) == SETTINGS_FRAME:
                return connection
            why = "connection closed"
        except OSError as error:
            why = str(error.strerror).lower()
        connection.close()
        if time.monotonic() + pause > until:
            failed = "Failed to connect to the VM using its control socket"
            raise Failure(f"{failed}: {why}, is the Tart Guest Agent running?")
        time.sleep(pause)
        pause *= 1.6


class RemoteCommand:
    """The command in the guest, seen from this end of the connection."""

    def __init__(self, call: Call, connection: socket.socket, *, interactive: bool) -> None:
        self._call, self._connection = call, connection
        self._interactive, self._reads_input = interactive, False

    def wait(self) -> int:
        """Forward its input and output; returns its exit code."""
        while True:
            sources: list[Any] = [self._connection, *([0] if self._reads_input else [])]
            ready, _, _ = select.select(sources, [], [])
            if self._connection not in ready:
                self._send_input()  # only if nothing is to be read: else both ends could wait for each other
            elif (code := self._receive()) is not None:
                return code

    def _send_input(self) -> None:
        data = os.read(0, CHUNK)
        self._reads_input = bool(data)
        self._call.stdin += data
        with contextlib.suppress(ConnectionError):
            send_frame(self._connection, b"i", data)

    def _receive(self) -> int | None:
        try:
            kind, data = receive_frame(self._connection)
        except ConnectionError:
            kind, data = b"", b""
        if kind == b"s":
            self._call.fire("during")
            self._reads_input = self._interactive
        elif kind in (b"o", b"e"):
            write_all(1 if kind == b"o" else 2, data)
        elif kind == b"x":
            return int(data)
        elif kind == b"f":
            raise validation_error(f"unknown (2): {data.decode(errors='surrogateescape')}")
        else:
            raise validation_error("unavailable (14): Transport became inactive")
        return None
