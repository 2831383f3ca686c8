"""Asks a daemon on this host through its admin socket (docs/behaviour.md § 9.4)."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from runscaler.errors import HostError
from runscaler.ops.state_path import ADMIN_SOCKET
from runscaler.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SECONDS = 30.0
"""How long an answer may take: a request may wait for an engine."""
MAX_REPLY_BYTES = 16 * 2**20
START_FIXES = ("start the daemon: runner run", "name its state directory: --state-dir PATH")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status == 200

    def value(self, key: str) -> object:
        """A value of the JSON object in the body, None if there is none of that name."""
        try:
            found = parse_json(self.body)
        except ValueError:
            return None
        return found.get(key) if isinstance(found, dict) else None


def choose(directories: Sequence[Path]) -> Path:
    """The socket of the one daemon in these state directories. Raises `HostError` unless one is there."""
    living = living_sockets(directories)
    if len(living) == 1:
        return living[0]
    if not living:
        looked = f" (looked at {', '.join(map(str, directories))})" if directories else ""
        raise HostError(f"no runner daemon of this user answers on this host{looked}", fixes=START_FIXES)
    found = ", ".join(str(path.parent) for path in living)
    raise HostError(
        f"several daemons run on this host, with their state in {found}",
        fixes=("say which one is meant: --config PATH or --state-dir PATH",),
    )


def living_sockets(directories: Sequence[Path]) -> list[Path]:
    """The admin sockets that a daemon listens on."""
    return [path for path in (directory / ADMIN_SOCKET for directory in directories) if _answers(path)]


def ask(path: Path, target: str, body: dict[str, object]) -> Answer:
    """Raises `HostError` if no daemon answers."""
    connection = _UnixConnection(path)
    try:
        connection.request("POST", target, json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return Answer(reply.status, reply.read(MAX_REPLY_BYTES))
    except (OSError, HTTPException) as error:
        raise HostError(f"no runner daemon answers at {path}: {error}", fixes=START_FIXES) from error
    finally:
        connection.close()


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _answers(path: Path) -> bool:
    connection = _UnixConnection(path)
    try:
        connection.connect()
    except OSError:
        return False
    finally:
        connection.close()
    return True
