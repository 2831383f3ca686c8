"""One daemon per state directory (spec.md 8.6): a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from runscaler.errors import HostError
from runscaler.files import replace_file

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK = "lock"
HOLDER = "holder.json"
"""Beside the lock, not in it: opening a lock file may empty it."""


class StateLock:
    """Holds a state directory for this process. Raises OSError where it cannot even be tried."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = _lock_in(directory)

    def acquire(self) -> None:
        """`HostError` names the process that holds it; never waits."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise _in_use(self._directory) from None
        except NotImplementedError as error:
            raise OSError(str(error)) from error
        holder = {"pid": os.getpid(), "program": _program()}
        try:
            replace_file(self._directory / HOLDER, json.dumps(holder).encode())
        except OSError:
            self._lock.release()
            raise

    def release(self) -> None:
        """Harmless when repeated."""
        if self._lock.is_locked:
            (self._directory / HOLDER).unlink(missing_ok=True)
            self._lock.release()


def is_held(directory: Path) -> bool:
    """Does a living process hold this state directory? Raises OSError where that cannot be told."""
    if not (directory / LOCK).exists():
        return False
    lock = _lock_in(directory)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _lock_in(directory: Path) -> BaseFileLock:
    return FileLock(directory / LOCK, mode=0o600, thread_local=False)


def _in_use(directory: Path) -> HostError:
    try:
        holder = json.loads((directory / HOLDER).read_bytes())
        whom = f"pid {int(holder['pid'])} ({holder['program']})"
    except (OSError, ValueError, KeyError, TypeError):
        whom = "another process"
    return HostError(
        f"state-dir {directory} is in use by {whom}",
        fixes=("stop that one first", "give this one a state-dir of its own"),
    )


def _program() -> str:
    """The program and its command, never its flags: a token may stand there."""
    command = [word for word in sys.argv[1:2] if not word.startswith("-")]
    name = Path(sys.argv[0]).name
    return " ".join(["python -m runscaler" if name == "__main__.py" else name, *command])
