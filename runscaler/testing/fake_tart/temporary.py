"""Entries of tmp/: clones and pulls in the making, and who clears them away."""

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
    """Delete what nobody holds in tmp/; two at once get in each other's way, and say so."""
    folder = os.path.join(home, "tmp")
    try:
        for name in os.listdir(folder):
            with_lock = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                if try_flock(with_lock):
                    remove_tree(os.path.join(folder, name))
            finally:
                os.close(with_lock)
    except OSError:
        complain(f"Failed to perform garbage collection: “{name}” couldn’t be removed.")


@contextlib.contextmanager
def temporary(call: Call) -> Iterator[str]:
    """A locked entry of tmp/; what is still there at the end goes."""
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
