"""A real forward proxy that asks for a password: tinyproxy."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from support.daemon import wait_until
from support.missing import missing

from runscaler.ops.demo import free_port

if TYPE_CHECKING:
    from pathlib import Path

COMES_FROM = "127.0.0.1"
"""The address from which it connects, so that a server can tell who came through it."""


class Tinyproxy:
    """A context. It listens on `host`, which is to be one that is not on loopback."""

    def __init__(self, folder: Path, host: str, user: str, password: str) -> None:
        if shutil.which("tinyproxy") is None:
            missing("the program tinyproxy")
        self.address = f"{host}:{free_port()}"
        self._log, self._config = folder / "tinyproxy.log", folder / "tinyproxy.conf"
        port = self.address.rpartition(":")[2]
        self._config.write_text(
            f"Port {port}\nListen {host}\nBind {COMES_FROM}\nTimeout 300\nMaxClients 200\n"
            f'LogFile "{self._log}"\nLogLevel Info\nBasicAuth {user} {password}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = ["tinyproxy", "-d", "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "tinyproxy")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def tunnels_to(self, address: str) -> int:
        """How many requests for a tunnel to `address` it has logged."""
        return self._log.read_text().count(f"CONNECT {address} HTTP")

    def _answers(self) -> bool:
        host, port = self.address.split(":")
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1.0):
            return True
        return False
