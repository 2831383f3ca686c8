"""An engine that belongs to one test, which may stop, kill, suspend and restart it and fill its disk."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from chaos_plan.private_engine import PrivateEngine as RestartableEngine
from chaos_plan.private_engine import can_run_engine
from support.missing import missing

from runscaler.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTE = 1024 * 1024


class PrivateEngine(RestartableEngine):
    """With `disk`, its data are on a file system of that many megabytes."""

    def __init__(self, disk: int = 0) -> None:
        if not can_run_engine():
            missing("a private Docker engine: it needs root and dockerd")
        super().__init__(SystemClock())
        self._disk = Disk(self.folder / "data", disk) if disk else None

    @property
    def disk(self) -> Disk:
        assert self._disk is not None, "it has no disk of its own"
        return self._disk

    def stop(self) -> None:
        """Stop it and its containers, and wait for its end."""
        self.end(by_force=False)

    def kill(self) -> None:
        """Kill it and wait for its end; its containers go on."""
        self.end(by_force=True)

    def freeze(self) -> None:
        """Suspend it: it keeps its connections and does not answer."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class Disk:
    """A small file system at `path`, mounted there."""

    def __init__(self, path: Path, megabytes: int) -> None:
        path.mkdir()
        self._path = path
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)

    def fill(self) -> None:
        """Write until not one more byte fits."""
        with suppress(OSError), (self._path / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(MEGABYTE)):
                pass

    def free(self) -> None:
        (self._path / "filler").unlink()
