"""Runners that are processes of this host, and processes that only look like them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import psutil

from chaos_plan.ground import BYSTANDER, STRANGER
from runscaler.backends.process.census import MARK, mark_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from chaos_plan.daemon import Daemon

GLANCE = 0.01
"""Seconds between two looks at the runners' directories."""


class ProcessGround:
    """Directories of the process backend tell what exists, marks of processes whom they belong to."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._homes = daemon.state_dir / "process"
        self.crowds: set[frozenset[str]] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def __enter__(self) -> Self:
        marks = ("", f"{STRANGER}/{BYSTANDER}")
        self._strangers = [self._stranger(mark) for mark in marks]
        self._foreign = self._homes / STRANGER / BYSTANDER
        self._foreign.mkdir(parents=True, mode=0o700)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for stranger in self._strangers:
            stranger.kill()
            stranger.wait()

    def kill(self, runner: str) -> bool:
        found = False
        while processes := [process for process, name in self._living() if name == runner]:
            found = True
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        return found

    def left(self) -> list[str]:
        files = [*self._own_homes(), *self._daemon.temporary.iterdir()]
        return [*(str(path) for path in files), *(f"{one.pid} of {name}" for one, name in self._living())]

    def bystanders_live(self) -> bool:
        return self._foreign.is_dir() and all(one.poll() is None for one in self._strangers)

    def clear(self) -> None:
        for _, runner in list(self._living()):
            self.kill(runner)

    def _stranger(self, mark: str) -> subprocess.Popen[bytes]:
        """A process that looks like a runner's but for its mark."""
        words = [sys.executable, "-c", "import time; time.sleep(86400)", "Runner.Listener", BYSTANDER]
        return subprocess.Popen(words, env={**os.environ, **({MARK: mark} if mark else {})})

    def _living(self) -> Iterator[tuple[psutil.Process, str]]:
        owner = self._daemon.owner
        for process in psutil.process_iter():
            whose, _, runner = mark_of(process).partition("/")
            with suppress(psutil.NoSuchProcess):
                if owner and whose == owner and process.status() != psutil.STATUS_ZOMBIE:
                    yield process, runner

    def _own_homes(self) -> list[os.DirEntry[str]]:
        owner = self._daemon.owner
        with suppress(FileNotFoundError), os.scandir(self._homes / (owner or "none yet")) as found:
            return list(found)
        return []

    def _watch(self) -> None:
        while not self._over.wait(GLANCE):
            self.crowds.add(frozenset(home.name for home in self._own_homes()))
