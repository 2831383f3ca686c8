"""A `tart exec` that nobody waits for: one that ends when the runner in a guest does (docs/tart.md § 6, "The
watch"), or that asks whether the guest still answers."""

from __future__ import annotations

import math
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.backends.tart.cli import end_group
from runscaler.backends.tart.guest import code_of

if TYPE_CHECKING:
    from runscaler.backends.tart.guest import Guest

_PIECE = 4096
_LAST_WORDS = 1.0


@dataclass(slots=True)
class BackgroundExec:
    """Belongs to one thread. `told` is set when it ended well; over without it, it was lost."""

    popen: subprocess.Popen[bytes]
    over: bool = False
    told: bool = False
    code: int | None = None
    _printed: bytes = b""

    def fileno(self) -> int:
        """Readable when it printed or ended."""
        assert self.popen.stdout is not None, "it was started with pipes"
        return self.popen.stdout.fileno()

    def read(self) -> None:
        """Call when readable."""
        piece = os.read(self.fileno(), _PIECE)
        self._printed += piece
        if piece:
            return
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(_LAST_WORDS)
        self.over, self.told = True, self.popen.poll() == 0
        self.code = code_of(self._printed) if self.told else None

    def close(self) -> None:
        """End it if it has not ended."""
        if self.popen.poll() is None:
            end_group(self.popen)
        with self.popen:
            """Its pipes are closed and it is reaped."""


@dataclass(slots=True)
class ExecProbe:
    """Asks a guest again and again whether it answers, and never waits for that. Belongs to one thread."""

    guest: Guest
    _asked: BackgroundExec | None = None
    _asked_at: float = -math.inf

    def answered(self) -> bool:
        """Call it now and then; raises `BackendDown`."""
        now, limits = self.guest.tart.clock.monotonic(), self.guest.timings
        if self._asked is None:
            if now >= self._asked_at + limits.exec_probe_interval:
                self._asked, self._asked_at = BackgroundExec(self.guest.ask()), now
            return False
        code = self._asked.popen.poll()
        if code is not None or now >= self._asked_at + limits.exec_probe:
            self.close()
        return code == 0

    def close(self) -> None:
        """End what is under way."""
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.close()
