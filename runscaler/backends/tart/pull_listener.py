"""Follows the output of a pull, which may take an hour but must not stand still (docs/tart.md § 5, 10)."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.backends.tart.home import TartHome

_PERCENT = re.compile(rb"^\s*(\d{1,3})%", re.MULTILINE)
_SIZE = re.compile(rb"\((\d{1,9}(?:\.\d{1,9})?) GB compressed\)")
_WAITING = b"waiting for lock"
_PULLING = b"pulling "


class PullListener:
    """An `OutputListener` that ends a pull after `silence` seconds without progress.

    `report` gets the bytes done, the bytes in all (0: unknown), and what the pull is doing. A silent pull
    goes on as long as something is written to the disk, by itself or by the pull that it waits for: one
    percent of a large image may take longer than `silence`.
    """

    def __init__(
        self, home: TartHome, silence: float, report: Callable[[int, int, str], None] | None = None
    ) -> None:
        self._home = home
        self._silence = silence
        self._report = report
        self._written = self._survey_downloads()

    def on_output(self, output: bytes) -> float:
        self._written = self._survey_downloads()
        if self._report is not None:
            sizes, percents = _SIZE.findall(output), _PERCENT.findall(output)
            total = int(float(sizes[-1]) * 1e9) if sizes else 0
            done = int(total * int(percents[-1]) / 100) if percents else 0
            waits = _WAITING in output.rstrip().rpartition(b"\n")[2]
            self._report(done, total, "waiting for another pull before" if waits else "pulling")
        return self._silence

    def on_timeout(self) -> float:
        before, self._written = self._written, self._survey_downloads()
        return self._silence if self._written != before else 0.0

    def _survey_downloads(self) -> tuple[int, int]:
        """The blocks on disk and the latest modification of all unfinished downloads."""
        size = newest = 0
        for folder, _, names in os.walk(self._home.path / "tmp"):
            for name in names:
                with suppress(OSError):
                    found = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118
                    size, newest = size + found.st_blocks, max(newest, found.st_mtime_ns)
        return size, newest


class CloneListener(PullListener):
    """For a clone: `limit` seconds, extended while it copies (off APFS that takes minutes), or the `silence`
    of a pull if it turns out to pull first."""

    def __init__(self, home: TartHome, silence: float, limit: float) -> None:
        super().__init__(home, limit)
        self._pull_silence = silence

    def on_output(self, output: bytes) -> float:
        if _PULLING in output or _WAITING in output:
            self._silence = self._pull_silence
        return super().on_output(output)
