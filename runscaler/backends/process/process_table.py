"""One look at all processes of the host, shared by all who ask for one at the same time.

Fifty removals at once would otherwise look through the whole table a hundred times.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

import psutil

MARK = "RUNSCALER_RESOURCE"
"""The environment variable that every process of a runner inherits: `OWNER/RUNNER`."""

_LOOKS = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """A living process as it was; `mark` is empty where it has none or hides it."""

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
        self._begun = 0
        self._last: dict[int, Seen] = {}

    def take(self) -> dict[int, Seen]:
        """All that live, by pid, in a look that began after this call; no zombies, not ourselves."""
        with self._number_lock:
            enough = self._begun + 1
        with self._scan_lock:
            if self._begun < enough:
                with self._number_lock:
                    self._begun += 1
                self._last = _scan()
            return self._last


PROCESS_TABLE = ProcessTable()


def mark_of(process: psutil.Process) -> str:
    """Empty where it has none, hides it or is gone."""
    try:
        return variables_of(process).get(MARK, "")
    except (psutil.Error, OSError):
        return ""


def variables_of(process: psutil.Process) -> dict[str, str]:
    """Its environment; those of a program that is just being loaded too, as soon as they are there."""
    variables: dict[str, str] = {}
    for _ in range(_LOOKS):
        variables = process.environ()
        if variables or not _is_being_loaded(process):
            break
    return variables


def _is_being_loaded(process: psutil.Process) -> bool:
    """For a moment Linux shows neither the words nor the variables of a program that it loads; who
    started it goes on already. (A thread of the kernel never has any, nor memory.)"""
    return not process.cmdline() and bool(process.memory_info().vms)


def _scan() -> dict[int, Seen]:
    seen = {process.pid: _look(process) for process in psutil.process_iter()}
    seen.pop(os.getpid(), None)
    return {pid: found for pid, found in seen.items() if found is not None}


def _look(process: psutil.Process) -> Seen | None:
    try:
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            session = os.getsid(process.pid)
            return Seen(process, process.ppid(), session, mark_of(process), process.create_time())
    except (psutil.Error, OSError):
        return None
