"""Listening to a pull, which may take an hour but must not stand still (docs/tart.md § 5, 10)."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.backends.tart.home import TartHome

_PERCENT = re.compile(rb"^\s*(\d{1,3})%", re.MULTILINE)
_SIZE = re.compile(rb"\(([\d.]+) GB compressed\)")
_WAITING = b"waiting for lock"
_PULLING = b"pulling "


class PullListener:
    """`told` gets bytes done, bytes in all (0: unknown), and "pulling" or what it waits for.

    A silent pull goes on as long as something is written to the disk: by the one it waits for, or by
    itself, as one percent of a large image may take longer than the silence that it is allowed.
    """

    def __init__(
        self, home: TartHome, silence: float, told: Callable[[int, int, str], None] | None = None
    ) -> None:
        self._home = home
        self._patience = silence
        self._told = told
        self._seen = self._downloads()

    def on_output(self, said: bytes) -> float:
        self._seen = self._downloads()
        if self._told is not None:
            sizes, percents = _SIZE.findall(said), _PERCENT.findall(said)
            total = int(float(sizes[-1]) * 1e9) if sizes else 0
            done = int(total * int(percents[-1]) / 100) if percents else 0
            waits = _WAITING in said.rstrip().rpartition(b"\n")[2]
            self._told(done, total, "waiting for another pull before" if waits else "pulling")
        return self._patience

    def on_timeout(self) -> float:
        before, self._seen = self._seen, self._downloads()
        return self._patience if self._seen != before else 0.0

    def _downloads(self) -> tuple[int, int]:
        """Bytes on the disk and the newest change in what is being made."""
        size = newest = 0
        for folder, _, names in os.walk(self._home.path / "tmp"):
            for name in names:
                with suppress(OSError):
                    found = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118
                    size, newest = size + found.st_blocks, max(newest, found.st_mtime_ns)
        return size, newest


class CloneListener(PullListener):
    """A clone has its limit, unless it turns out to pull first, or to copy: off APFS it takes minutes."""

    def __init__(self, home: TartHome, silence: float, limit: float) -> None:
        super().__init__(home, limit)
        self._silence = silence

    def on_output(self, said: bytes) -> float:
        if _PULLING in said or _WAITING in said:
            self._patience = self._silence
        return super().on_output(said)
