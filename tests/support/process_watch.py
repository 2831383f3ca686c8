"""Looks into every process that descends from the tests: what others could see of it in /proc."""

from __future__ import annotations

import os
import threading
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.planted import ENCODED
from support.poller import Poller
from support.secret_watch import MARKS_OF_RUNNERS

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS = 0.1
TIMES = 4
"""So often each process is looked at: it may have become another program after the first time."""
MARK = "RUNSCALER_TEST_RUN"
"""A variable that tells the processes of these tests from those of others on this machine."""
AGENT = b"simulator/agent.py"
OF_COVERAGE = b"COVERAGE_PROCESS_CONFIG="
"""Its configuration in base64, in the environments of all programs whose coverage is measured."""


class ProcessWatch(Poller):
    """`look(where, text)` gets the arguments of all processes, and JIT configurations in the environments of
    those that are no runners. A token may stand in an environment: so it is handed to a daemon."""

    def __init__(self, look: Callable[[str, bytes], None]) -> None:
        super().__init__("process-watch", POLL_SECONDS)
        self._look = look
        self._lock = threading.Lock()
        self._looked_at: Counter[int] = Counter()
        self._ours = {os.getpid()}
        self._mark = f"{MARK}={os.environ.setdefault(MARK, uuid.uuid4().hex)}\0".encode()

    def poll(self, again: bool = False) -> None:
        """`again`: also those of ours that have been looked at often enough."""
        with self._lock:
            there = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208, it is fast
            for pid in there - {os.getpid()}:
                if self._looked_at[pid] < TIMES or (again and pid in self._ours):
                    self._looked_at[pid] += 1
                    with suppress(OSError, ValueError):
                        self._look_at(pid)
            for pid in self._looked_at.keys() - there:
                del self._looked_at[pid]
                self._ours.discard(pid)

    def _look_at(self, pid: int) -> None:
        folder = Path(f"/proc/{pid}")
        words, variables = (folder / "cmdline").read_bytes(), _without_coverage(folder / "environ")
        parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        if self._mark in variables or parent in self._ours:
            self._ours.add(pid)
            self._look("the arguments of a process", words)
            if not self._is_of_runner(parent, words, variables):
                self._look("the environment of a process", b" ".join(ENCODED.findall(variables)))

    def _is_of_runner(self, parent: int, words: bytes, variables: bytes) -> bool:
        """What a test started itself may stand for a runner."""
        return parent == os.getpid() or AGENT in words or any(mark in variables for mark in MARKS_OF_RUNNERS)


def _without_coverage(environ: Path) -> bytes:
    variables = environ.read_bytes().split(b"\0")
    return b"\0".join(one for one in variables if not one.startswith(OF_COVERAGE))
