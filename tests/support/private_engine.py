"""An engine of a test's own, that it may stop, kill, freeze and start again, and fill its disk."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from chaos_plan.private_engine import PrivateEngine as Ending
from chaos_plan.private_engine import can_run_engine
from support.missing import missing

from runscaler.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTE = 1024 * 1024


class PrivateEngine(Ending):
    """With `disk`, its data lie on a disk of so many megabytes."""

    def __init__(self, disk: int = 0) -> None:
        if not can_run_engine():
            missing("a Docker engine to stop: it takes root and dockerd")
        super().__init__(SystemClock())
        self._disk = Disk(self.folder / "data", disk) if disk else None

    @property
    def disk(self) -> Disk:
        assert self._disk is not None, "it has none of its own"
        return self._disk

    def stop(self) -> None:
        """In order, so that it takes its containers with it; returns when it has ended."""
        self.end(by_force=False)

    def kill(self) -> None:
        """At once; its containers live on."""
        self.end(by_force=True)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class Disk:
    """A small file system that a test can fill."""

    def __init__(self, path: Path, megabytes: int) -> None:
        path.mkdir()
        self._path = path
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)

    def fill(self) -> None:
        """Until not a byte more can be written."""
        with suppress(OSError), (self._path / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(MEGABYTE)):
                pass

    def free(self) -> None:
        (self._path / "filler").unlink()
