"""A VM's files. Whether it runs is told by a lock on its config.json alone (docs/tart.md § 2, 3)."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.files import replace_file
from runscaler.untrusted import parse_json

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1024 * 1024
"""Of a config.json, which comes with the image."""
_SOCKET_PATH_BYTES = 103
"""macOS cannot connect to a socket with a longer path."""


@dataclass(frozen=True, slots=True)
class Vm:
    """`path` is `TART_HOME/vms/NAME`. The VM need not exist."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def run_log(self) -> Path:
        """The output of `tart run`."""
        return self.path / "run.log"

    @property
    def socket(self) -> Path | None:
        """The control socket, which leads to the guest agent; None if its path is too long to connect to."""
        path = self.path / "control.sock"
        return path if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES else None

    def exists(self) -> bool:
        """Also if it is only half deleted."""
        return os.path.lexists(self.path)

    def is_suspended(self) -> bool:
        return (self.path / "state.vzvmsave").exists()

    def pid(self) -> int:
        """Of the process that runs it, 0 if none does. Queries the lock without taking it."""
        try:
            descriptor = os.open(self.config, os.O_RDWR)
        except OSError:
            return 0
        try:
            return _lock_owner(descriptor)
        finally:
            os.close(descriptor)

    def read_config(self) -> dict[str, object]:
        """Raises OSError, or ValueError if config.json is not a JSON object."""
        with self.config.open("rb") as file:
            found = parse_json(file.read(MOST_BYTES))
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
        return found

    def mac(self) -> str:
        """Empty if it cannot be read."""
        try:
            return str(self.read_config().get("macAddress", "")).lower()
        except (OSError, ValueError):
            return ""

    def set_mac(self, mac: str) -> None:
        """The VM must be stopped; its other settings stay. Raises OSError or ValueError."""
        found = self.read_config() | {"macAddress": mac}
        mode = self.config.stat().st_mode & 0o777
        replace_file(self.config, json.dumps(found, indent=2).encode(), mode=mode, durable=True)

    def run_output(self, count: int = 65_536) -> bytes:
        """The last bytes of the output of `tart run`."""
        try:
            with self.run_log.open("rb") as file:
                file.seek(max(0, self.run_log.stat().st_size - count))
                return file.read(count)
        except OSError:
            return b""


def _lock_owner(descriptor: int) -> int:
    """The pid that holds a lock on the file, 0 if none does. The layouts are those of `struct flock`."""
    if sys.platform == "darwin":
        asked = struct.pack("qqihh", 0, 0, 0, fcntl.F_RDLCK, 0)
        _, _, pid, kind, _ = struct.unpack("qqihh", fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    else:
        asked = struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return 0 if kind == fcntl.F_UNLCK else int(pid)
