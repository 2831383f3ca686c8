"""Directories and files that belong to this user alone: state-dir and everything in it.

As root we would write and delete wherever a link of somebody else's leads. So no name below state-dir may be
a symbolic link, every directory is owned by this user and writable by nobody else, files are opened without
following a link, and a lock file has no second name. All of it is opened through this module.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
MOST_BYTES = 1024 * 1024
"""Of a file that we wrote ourselves: the largest, a batch set aside, is smaller."""


class TooLarge(OSError):
    """A file that has more bytes than any that we wrote."""


class NotPrivate(OSError):
    """Somebody else owns it, may write to it, or leads us somewhere else. `cure` is what to do about it."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.cure = cure


def private_directory(path: Path, *names: str) -> Path:
    """Make `path` and the directories `names` in it (mode 0700) where they are missing, and check them.

    Returns the last. Raises `NotPrivate`, and OSError if one cannot be made.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    for one in _down(path, names):
        with suppress(FileExistsError):
            one.mkdir(mode=0o700)
        check_directory(one)
        path = one
    return path


def check_directory(path: Path) -> None:
    """Raises `NotPrivate`, and OSError if there is none."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise NotPrivate(
            f"{path} is a symbolic link", f"give the directory that it leads to, or remove {path}"
        )
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{path} is not a directory")
    if found.st_uid != os.geteuid():
        raise NotPrivate(
            f"{path} belongs to another user (uid {found.st_uid})",
            f"chown {os.geteuid()} {path}, once you know what is in it; or set another state-dir",
        )
    if found.st_mode & OTHERS_WRITE:
        raise NotPrivate(
            f"others may write to {path} (mode {found.st_mode & 0o7777:04o})", f"chmod go-w {path}"
        )


def check_tree(path: Path) -> None:
    """Check the directory, the way to it, and two levels of directories in it, for an earlier version or
    somebody else may have made them. Raises `NotPrivate` and OSError."""
    _check_way(path)
    check_directory(path)
    for one in _subdirectories(path):
        check_directory(one)
        for inner in _subdirectories(one):
            check_directory(inner)


def read_private(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of this user, if it has at most `most` bytes.

    Raises `TooLarge`, FileNotFoundError, `NotPrivate` for a link or another's file, and OSError.
    """
    with _opened(path, os.O_RDONLY) as descriptor:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise TooLarge(f"{path} has more than {most} bytes")
        return content


def append_private(path: Path, content: bytes) -> int:
    """Append to a file, which is made if it is not there (mode 0600); returns its size. Raises OSError."""
    with _opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
        os.write(descriptor, content)
        return os.fstat(descriptor).st_size


def touch_private(path: Path) -> None:
    """Make an empty file where there is none. Raises OSError."""
    with _opened(path, os.O_RDWR | os.O_CREAT):
        """It is there now, and ours."""


def check_lock_file(path: Path) -> None:
    """Raises `NotPrivate` if a lock on `path` would open, or empty, another file. None there is fine."""
    with suppress(FileNotFoundError), _opened(path, os.O_RDONLY) as descriptor:
        check_single_name(path, descriptor)


def check_single_name(path: Path, descriptor: int) -> None:
    """Raises `NotPrivate` for what is no regular file, or has another name elsewhere."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise NotPrivate(f"{path} is not a regular file", f"remove {path}")
    if found.st_nlink > 1:
        raise NotPrivate(f"{path} is a hard link to a file that has other names", f"remove {path}")


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """Never waits for the other end of a FIFO."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise NotPrivate(f"{path} is a symbolic link", f"remove {path}") from error
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotPrivate(f"{path} is not a regular file", f"remove {path}")
        if found.st_uid != os.geteuid():
            raise NotPrivate(f"{path} belongs to another user (uid {found.st_uid})", f"remove {path}")
        yield descriptor
    finally:
        os.close(descriptor)


def _down(path: Path, names: tuple[str, ...]) -> Iterator[Path]:
    yield path
    for name in names:
        path = path / name
        yield path


def _check_way(path: Path) -> None:
    """Whoever may rename a directory on the way puts another one in its place, unless it is sticky."""
    for one in path.parent.resolve().parents:
        _check_step(one)
    _check_step(path.parent.resolve())


def _check_step(path: Path) -> None:
    mode = path.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise NotPrivate(
            f"everybody may write to {path}, and so replace what is in it",
            f"chmod o-w {path}, or set another state-dir",
        )


def _subdirectories(path: Path) -> list[Path]:
    """With links, which are none."""
    with os.scandir(path) as entries:
        return [path / entry.name for entry in entries if entry.is_symlink() or entry.is_dir()]
