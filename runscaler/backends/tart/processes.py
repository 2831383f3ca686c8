"""The processes of `tart` that belong to a VM: the `tart run` that this process itself started, by the
path of their VM, and those that only their words tell of.

One table for the whole process, because they outlive the backend that started them. Who started them
must also reap them, and only their exit codes can be known.
"""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import subprocess


class Runs:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._popen: dict[str, subprocess.Popen[bytes]] = {}

    def add(self, vm: str, popen: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._popen[vm] = popen

    def exit_code(self, vm: str) -> int | None:
        """What it ended with (negative: by that signal). None: it runs or is no child of ours."""
        with self._lock:
            popen = self._popen.get(vm)
            return None if popen is None else popen.poll()

    def living_pid(self, vm: str) -> int:
        """0 where it has ended or is no child of ours."""
        with self._lock:
            popen = self._popen.get(vm)
            return popen.pid if popen is not None and popen.poll() is None else 0

    def forget(self, vm: str) -> None:
        """After it ended."""
        with self._lock:
            popen = self._popen.pop(vm, None)
        if popen is not None:
            popen.wait()

    def reap(self) -> None:
        """Forget those that have ended, whoever ended them."""
        with self._lock:
            self._popen = {vm: popen for vm, popen in self._popen.items() if popen.poll() is None}


RUN_PROCESSES = Runs()


def pid_by_command_line(name: str) -> int:
    """Of the `tart` that makes a VM of that name just now, or that runs one whose files somebody removed;
    0 where none does. Looks at all processes."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        clones = len(words) > 2 and words[-3] == "clone" and words[-1] == name
        if clones or ("run", name) in pairwise(words):
            return int(process.pid)
    return 0
