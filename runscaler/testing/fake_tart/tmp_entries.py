"""Entries of tmp/: unfinished clones and pulls, and the garbage collection of abandoned ones."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import flocked, remove_tree, try_flock
from runscaler.testing.fake_tart.output import complain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.testing.fake_tart.call import Call


def collect_garbage(home: str) -> None:
    """Delete the entries that nobody has locked. Two calls at once disturb each other, and complain."""
    folder = os.path.join(home, "tmp")
    try:
        for name in os.listdir(folder):
            fd = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                if try_flock(fd):
                    remove_tree(os.path.join(folder, name))
            finally:
                os.close(fd)
    except OSError:
        complain(f"Failed to perform garbage collection: “{name}” couldn’t be removed.")


@contextlib.contextmanager
def tmp_entry(call: Call) -> Iterator[str]:
    """A new, locked entry. It is deleted at the end, with what is still in it."""
    path = os.path.join(call.home, "tmp", uuid())
    os.mkdir(path)
    with flocked(path):
        try:
            yield path
        finally:
            if os.path.exists(path):
                remove_tree(path)


def uuid() -> str:
    digits = os.urandom(16).hex().upper()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
