"""A `tart exec` that runs in the background: its owner polls it, or waits for it in a selector."""

from __future__ import annotations

import math
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.backends.tart.cli import end_group

if TYPE_CHECKING:
    from runscaler.backends.tart.guest import Guest

_READ_SIZE = 4096
_MOST_BYTES = 4096
"""Kept of what the guest prints: an exit code has ten."""
_EXIT_GRACE = 1.0


@dataclass(slots=True)
class BackgroundExec:
    """For one thread. `output` is complete once it has `ended`; it `succeeded` if it then exited with 0."""

    popen: subprocess.Popen[bytes]
    output: bytes = b""
    ended: bool = False
    succeeded: bool = False

    def fileno(self) -> int:
        """Readable when it printed something or ended."""
        assert self.popen.stdout is not None, "it was started with pipes"
        return self.popen.stdout.fileno()

    def read(self) -> None:
        """Call it when readable."""
        piece = os.read(self.fileno(), _READ_SIZE)
        self.output = (self.output + piece)[:_MOST_BYTES]
        if piece:
            return
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(_EXIT_GRACE)
        self.ended, self.succeeded = True, self.popen.poll() == 0

    def close(self) -> None:
        """Kill it if it runs, and reap it."""
        if self.popen.poll() is None:
            end_group(self.popen)
        with self.popen:
            """Leaving the block closes its pipes and waits for it."""


@dataclass(slots=True)
class ExecProbe:
    """Asks a guest again and again whether it answers, without ever blocking. For one thread."""

    guest: Guest
    _exec: BackgroundExec | None = None
    _started_at: float = -math.inf

    def answered(self) -> bool:
        """Call it repeatedly. Raises `BackendDown`."""
        now, timings = self.guest.tart.clock.monotonic(), self.guest.timings
        if self._exec is None:
            if now >= self._started_at + timings.exec_probe_interval:
                self._exec, self._started_at = BackgroundExec(self.guest.spawn_probe()), now
            return False
        code = self._exec.popen.poll()
        if code is not None or now >= self._started_at + timings.exec_probe:
            self.close()
        return code == 0

    def close(self) -> None:
        """Kill the exec that is under way."""
        if self._exec is not None:
            self._exec.close()
            self._exec = None
