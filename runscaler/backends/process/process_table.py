"""Snapshots of the host's processes, each shared by all threads that ask for one at the same time.

Fifty concurrent removals would otherwise scan the whole process table a hundred times.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

import psutil

MARK = "RUNSCALER_RESOURCE"
"""The environment variable that every process of a runner inherits: `OWNER/RUNNER`."""

_MAX_READS = 1000


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """A living process at the time of the snapshot; `mark` is empty if it has none or cannot be read."""

    process: psutil.Process
    parent: int
    session: int
    mark: str
    created: float


class ProcessTable:
    """Thread-safe."""

    def __init__(self) -> None:
        self._number_lock = threading.Lock()
        self._scan_lock = threading.Lock()
        self._scans_begun = 0
        self._last: dict[int, ProcessEntry] = {}

    def snapshot(self) -> dict[int, ProcessEntry]:
        """All living processes but our own by pid, without zombies; scanned after this call."""
        with self._number_lock:
            needed = self._scans_begun + 1
        with self._scan_lock:
            if self._scans_begun < needed:
                with self._number_lock:
                    self._scans_begun += 1
                self._last = _scan()
            return self._last


PROCESS_TABLE = ProcessTable()


def mark_of(process: psutil.Process) -> str:
    """Empty if it has none, cannot be read or is gone."""
    try:
        return variables_of(process).get(MARK, "")
    except (psutil.Error, OSError):
        return ""


def variables_of(process: psutil.Process) -> dict[str, str]:
    """Its environment, also of a program that is just being loaded. Raises `psutil.Error` or OSError."""
    variables, is_loading = process.environ(), True
    for _ in range(_MAX_READS):
        if variables or not is_loading or not process.memory_info().vms:  # a kernel thread has no memory
            break
        # While Linux loads a program, it shows neither its arguments nor its environment.
        is_loading = not process.cmdline()
        variables = process.environ()
    return variables


def _scan() -> dict[int, ProcessEntry]:
    entries = {process.pid: _entry(process) for process in psutil.process_iter()}
    entries.pop(os.getpid(), None)
    return {pid: entry for pid, entry in entries.items() if entry is not None}


def _entry(process: psutil.Process) -> ProcessEntry | None:
    try:
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            session = os.getsid(process.pid)
            return ProcessEntry(process, process.ppid(), session, mark_of(process), process.create_time())
    except (psutil.Error, OSError):
        return None
