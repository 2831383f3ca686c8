"""One daemon per state directory (docs/behaviour.md § 8.6): a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import errno
import json
import os
import sys
from contextlib import suppress
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
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StateLock:
    """Holds a state directory for this process. Raises OSError where it cannot even be tried."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = _lock_in(directory)

    def acquire(self) -> None:
        """`HostError` names the process that holds it; never waits."""
        if not _acquired(self._lock):
            raise _in_use(self._directory)
        try:
            self._say_who_holds_it()
        except OSError:
            self._lock.release()
            raise

    def _say_who_holds_it(self) -> None:
        """On a full disk nobody does: that is no reason to go elsewhere and be another owner there."""
        holder = {"pid": os.getpid(), "program": _program()}
        try:
            replace_file(self._directory / HOLDER, json.dumps(holder).encode())
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            (self._directory / HOLDER).unlink(missing_ok=True)

    def release(self) -> None:
        """Harmless when repeated."""
        if self._lock.is_locked:
            with suppress(OSError):
                (self._directory / HOLDER).unlink(missing_ok=True)
            self._lock.release()


def is_held(directory: Path) -> bool:
    """Does a living process hold this state directory? Raises OSError where that cannot be told."""
    if not (directory / LOCK).exists():
        return False
    lock = _lock_in(directory)
    if not _acquired(lock):
        return True
    lock.release()
    return False


def _acquired(lock: BaseFileLock) -> bool:
    """Without waiting. OSError also where the file system has no locks."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except NotImplementedError as error:
        raise OSError(str(error)) from error
    return True


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
