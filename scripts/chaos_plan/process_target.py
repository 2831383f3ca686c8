"""Runners as processes of this host, with decoys beside them."""

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

from chaos_plan.target import DECOY_RUNNER, FOREIGN_OWNER, Resource
from runscaler.backends.process.process_table import MARK, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from chaos_plan.daemon import Daemon

POLL_SECONDS = 0.01
"""Between two looks at the runners' directories."""


class ProcessTarget:
    """Runners are found by the directories of the process backend, their processes by its mark."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._runner_dirs = daemon.state_dir / "process"
        self.snapshots: set[frozenset[Resource]] = set()
        self._resources: dict[str, Resource] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="process-target", daemon=True)

    def __enter__(self) -> Self:
        marks = ("", f"{FOREIGN_OWNER}/{DECOY_RUNNER}")
        self._decoys = [_start_decoy(mark) for mark in marks]
        self._decoy_folder = self._runner_dirs / FOREIGN_OWNER / DECOY_RUNNER
        self._decoy_folder.mkdir(parents=True, mode=0o700)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for decoy in self._decoys:
            decoy.kill()
            decoy.wait()

    def kill(self, runner: str) -> bool:
        found = False
        while self._each(runner, psutil.Process.kill):
            found = True
        return found

    def remove(self, runner: str) -> bool:
        """Only its directory; its process runs on until somebody ends it."""
        runner_dir = self._runner_dirs / (self._daemon.owner or "none yet") / runner
        if not runner_dir.is_dir():
            return False
        shutil.rmtree(runner_dir, ignore_errors=True)  # the runner is still writing to it
        return True

    def pause(self, runner: str) -> bool:
        return self._each(runner, psutil.Process.suspend)

    def resume(self, runner: str) -> None:
        self._each(runner, psutil.Process.resume)

    def runners(self) -> frozenset[str]:
        return frozenset(runner_dir.name for runner_dir in self._own_dirs())

    def leftovers(self) -> list[str]:
        files = [*self._own_dirs(), *self._daemon.temporary.iterdir()]
        return [*(str(path) for path in files), *(f"{one.pid} of {name}" for one, name in self._living())]

    def changed_decoys(self) -> list[str]:
        changed = [f"process {one.pid}" for one in self._decoys if one.poll() is not None]
        return changed if self._decoy_folder.is_dir() else [*changed, str(self._decoy_folder)]

    def remove_all(self) -> None:
        for _, runner in list(self._living()):
            self.kill(runner)

    def _each(self, runner: str, act: Callable[[psutil.Process], None]) -> bool:
        found = [process for process, name in self._living() if name == runner]
        for process in found:
            with suppress(psutil.NoSuchProcess):
                act(process)
        return bool(found)

    def _living(self) -> Iterator[tuple[psutil.Process, str]]:
        owner = self._daemon.owner
        for process in psutil.process_iter():
            whose, _, runner = mark_of(process).partition("/")
            with suppress(psutil.NoSuchProcess):
                if owner and whose == owner and process.status() != psutil.STATUS_ZOMBIE:
                    yield process, runner

    def _own_dirs(self) -> list[Path]:
        with (
            suppress(FileNotFoundError),
            os.scandir(self._runner_dirs / (self._daemon.owner or "none yet")) as found,
        ):
            return [Path(entry.path) for entry in found]
        return []

    def _watch(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self.snapshots.add(frozenset(map(self._resource, self._own_dirs())))

    def _resource(self, runner_dir: Path) -> Resource:
        """Without a scale set while the backend has not written the file that names it."""
        resource = self._resources.get(runner_dir.name)
        if resource is None:
            resource = Resource(runner_dir.name, "")
            with suppress(OSError, ValueError):
                resource = Resource(
                    runner_dir.name, json.loads((runner_dir / "marks.json").read_bytes())["scale_set"]
                )
                self._resources[runner_dir.name] = resource
        return resource


def _start_decoy(mark: str) -> subprocess.Popen[bytes]:
    """A process that looks like a runner's except for its mark."""
    words = [sys.executable, "-c", "import time; time.sleep(86400)", "Runner.Listener", DECOY_RUNNER]
    env = {**os.environ, **({MARK: mark} if mark else {})}
    return subprocess.Popen(words, env=env, stderr=subprocess.DEVNULL)  # Ctrl-C ends it with a traceback
