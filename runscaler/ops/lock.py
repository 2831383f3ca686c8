"""The lock on a state directory: one daemon each (docs/behaviour.md § 8.6).

The kernel releases the lock when the process that holds it dies.
"""

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
from runscaler.private_files import check_lock_file, read_private
from runscaler.untrusted import in_one_line, is_number, parse_json

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK = "lock"
HOLDER = "holder.json"
"""A file of its own, because opening a lock file may truncate it."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StateLock:
    """Locks a state directory for this process. Raises OSError if the lock file cannot be opened."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = _lock_in(directory)

    def acquire(self) -> None:
        """Take the lock without waiting. Raises `HostError` that names the process holding it."""
        check_lock_file(self._directory / LOCK)
        if not _try_acquire(self._lock):
            raise _in_use(self._directory)
        try:
            self._write_holder()
        except OSError:
            self._lock.release()
            raise

    def _write_holder(self) -> None:
        """Record this process as the holder.

        On a full disk the record is left out: failing here would make the daemon use another state directory
        and thus another owner id.
        """
        holder = {"pid": os.getpid(), "program": _program()}
        try:
            replace_file(self._directory / HOLDER, json.dumps(holder).encode())
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            (self._directory / HOLDER).unlink(missing_ok=True)

    def release(self) -> None:
        """Harmless if repeated."""
        if self._lock.is_locked:
            with suppress(OSError):
                (self._directory / HOLDER).unlink(missing_ok=True)
            self._lock.release()


def is_held(directory: Path) -> bool:
    """Whether a living process holds this state directory. Raises OSError if that cannot be determined."""
    if not (directory / LOCK).exists():
        return False
    check_lock_file(directory / LOCK)
    lock = _lock_in(directory)
    if not _try_acquire(lock):
        return True
    lock.release()
    return False


def _try_acquire(lock: BaseFileLock) -> bool:
    """Try to take the lock, without waiting. Raises OSError, also if the file system has no locks."""
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
        holder = parse_json(read_private(directory / HOLDER))
    except (OSError, ValueError):
        holder = None
    pid, program = (holder.get("pid"), holder.get("program")) if isinstance(holder, dict) else (None, None)
    whom = f"pid {pid} ({in_one_line(program, 100)})" if is_number(pid) else "another process"
    return HostError(
        f"state-dir {directory} is in use by {whom}",
        fixes=("stop that process first", "set a different state-dir for this one"),
    )


def _program() -> str:
    """The program and its command, without flags, as one of them may be a token."""
    command = [word for word in sys.argv[1:2] if not word.startswith("-")]
    name = Path(sys.argv[0]).name
    return " ".join(["python -m runscaler" if name == "__main__.py" else name, *command])
