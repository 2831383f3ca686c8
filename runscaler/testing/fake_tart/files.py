"""Helps with locks and directory trees."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import struct
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def flocked(path: str, waiting: Callable[[], None] | None = None) -> Iterator[int]:
    """Hold the `flock` of a file or directory; `waiting` is called first if another process holds it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if not try_flock(fd):
            if waiting is not None:
                waiting()
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def try_flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_owner(path: str) -> int:
    """The pid that holds the POSIX lock of this file; 0 if none does."""
    darwin = sys.platform == "darwin"
    layout = "qqihh" if darwin else "hhqqi4x"
    ask = (0, 0, 0, fcntl.F_RDLCK, 0) if darwin else (fcntl.F_RDLCK, 0, 0, 0, 0)
    fd = os.open(path, os.O_RDWR)
    try:
        answer = struct.unpack(layout, fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(layout, *ask)))
    finally:
        os.close(fd)
    kind, pid = (answer[3], answer[2]) if darwin else (answer[0], answer[4])
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def copy_tree(source: str, target: str) -> None:
    os.mkdir(target)
    for entry in os.scandir(source):
        there = os.path.join(target, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), there)
        elif entry.is_dir():
            copy_tree(entry.path, there)
        elif entry.is_file():
            copy_file(entry.path, there)
    os.chmod(target, os.stat(source).st_mode & 0o7777 | 0o700)


def copy_file(source: str, target: str) -> None:
    with open(source, "rb") as old, open(target, "wb") as new:
        while data := old.read(1 << 20):
            new.write(data)
        os.fchmod(new.fileno(), os.fstat(old.fileno()).st_mode & 0o7777)


def remove_tree(path: str) -> None:
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(path)


def remove_tree_being_written(path: str) -> None:
    """As `remove_tree`, while others may still write into it."""
    for _ in range(200):
        try:
            return remove_tree(path)
        except FileNotFoundError:
            if not os.path.exists(path):
                return None
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        time.sleep(0.01)
    return remove_tree(path)


def read_text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def write_json(path: str, value: object) -> None:
    """In place, so that a concurrent reader may see half of it."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(value))


def allocated(path: str) -> int:
    """Bytes on disk."""
    status = os.lstat(path)
    inner = sum(allocated(entry.path) for entry in os.scandir(path)) if os.path.isdir(path) else 0
    return status.st_blocks * 512 + (0 if os.path.islink(path) else inner)
