"""Reads a file that the user names: a configuration, a token, a key.

It may be a regular file or a pipe, of at most 1 MiB. A pipe out of which nothing comes is given up.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1024 * 1024
PIPE_SECONDS = 5.0


def read_input(path: Path, seconds: float = PIPE_SECONDS) -> tuple[bytes, int]:
    """Its content and mode. Raises OSError, whose `strerror` says what is wrong."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        return _content(path, descriptor, seconds), mode
    finally:
        os.close(descriptor)


def _content(path: Path, descriptor: int, seconds: float) -> bytes:
    clock = SystemClock()
    pieces: list[bytes] = []
    size, deadline = 0, clock.monotonic() + seconds
    while True:
        left = deadline - clock.monotonic()
        ready, _, _ = select.select([descriptor], [], [], max(0.0, left))
        if not ready:
            raise TimeoutError(0, f"nothing came out of it within {seconds:.0f} s", str(path))
        piece = os.read(descriptor, 65_536)
        if not piece:
            return b"".join(pieces)
        size += len(piece)
        if size > MOST_BYTES:
            raise OSError(0, f"it is larger than {MOST_BYTES // 2**20} MiB", str(path))
        pieces.append(piece)
