"""Runners that are processes of this host, and processes that only look like them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

from chaos_plan.ground import BYSTANDER, STRANGER, Lodger
from runscaler.backends.process.process_table import MARK, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from chaos_plan.daemon import Daemon

GLANCE = 0.01
"""Seconds between two looks at the runners' directories."""


class ProcessGround:
    """Directories of the process backend tell what exists, marks of processes whom they belong to."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._homes = daemon.state_dir / "process"
        self.crowds: set[frozenset[Lodger]] = set()
        self._lodgers: dict[str, Lodger] = {}
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
        while self._each(runner, psutil.Process.kill):
            found = True
        return found

    def take_away(self, runner: str) -> bool:
        """Its directory alone: the process lives on until somebody ends it."""
        home = self._homes / (self._daemon.owner or "none yet") / runner
        if not home.is_dir():
            return False
        shutil.rmtree(home, ignore_errors=True)  # it writes meanwhile
        return True

    def pause(self, runner: str) -> bool:
        return self._each(runner, psutil.Process.suspend)

    def resume(self, runner: str) -> None:
        self._each(runner, psutil.Process.resume)

    def runners(self) -> frozenset[str]:
        return frozenset(home.name for home in self._own_homes())

    def left(self) -> list[str]:
        files = [*self._own_homes(), *self._daemon.temporary.iterdir()]
        return [*(str(path) for path in files), *(f"{one.pid} of {name}" for one, name in self._living())]

    def touched(self) -> list[str]:
        hurt = [f"process {one.pid}" for one in self._strangers if one.poll() is not None]
        return hurt if self._foreign.is_dir() else [*hurt, str(self._foreign)]

    def clear(self) -> None:
        for _, runner in list(self._living()):
            self.kill(runner)

    def _each(self, runner: str, act: Callable[[psutil.Process], None]) -> bool:
        found = [process for process, name in self._living() if name == runner]
        for process in found:
            with suppress(psutil.NoSuchProcess):
                act(process)
        return bool(found)

    def _stranger(self, mark: str) -> subprocess.Popen[bytes]:
        """A process that looks like a runner's but for its mark."""
        words = [sys.executable, "-c", "import time; time.sleep(86400)", "Runner.Listener", BYSTANDER]
        env = {**os.environ, **({MARK: mark} if mark else {})}
        return subprocess.Popen(words, env=env, stderr=subprocess.DEVNULL)  # it hears of Ctrl-C too

    def _living(self) -> Iterator[tuple[psutil.Process, str]]:
        owner = self._daemon.owner
        for process in psutil.process_iter():
            whose, _, runner = mark_of(process).partition("/")
            with suppress(psutil.NoSuchProcess):
                if owner and whose == owner and process.status() != psutil.STATUS_ZOMBIE:
                    yield process, runner

    def _own_homes(self) -> list[Path]:
        with (
            suppress(FileNotFoundError),
            os.scandir(self._homes / (self._daemon.owner or "none yet")) as found,
        ):
            return [Path(entry.path) for entry in found]
        return []

    def _watch(self) -> None:
        while not self._over.wait(GLANCE):
            self.crowds.add(frozenset(map(self._lodger, self._own_homes())))

    def _lodger(self, home: Path) -> Lodger:
        """Of nobody's while its marks are not written yet."""
        known = self._lodgers.get(home.name)
        if known is None:
            known = Lodger(home.name, "")
            with suppress(OSError, ValueError):
                known = Lodger(home.name, json.loads((home / "marks.json").read_bytes())["scale_set"])
                self._lodgers[home.name] = known
        return known
