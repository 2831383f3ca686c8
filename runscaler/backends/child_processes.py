"""Child processes of this daemon that outlive the backend that started them.

Only a parent can reap its children and read their exit codes. An embedding program may close one
`Autoscaler` and open the next, so the tables of such children belong to the process, not to a backend.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


class ChildProcesses:
    """By a key of the caller's. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of two polls at once, one would take a child just reaped for alive
        self._popen: dict[str, subprocess.Popen[bytes]] = {}

    def add(self, key: str, popen: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._popen[key] = popen

    def exit_code(self, key: str) -> int | None:
        """Negative if a signal ended it; None if it runs or is no child of ours. Reaps it."""
        with self._lock:
            popen = self._popen.get(key)
            return None if popen is None else popen.poll()

    def living_pid(self, key: str) -> int:
        """0 if it has ended or is no child of ours. Reaps it."""
        with self._lock:
            popen = self._popen.get(key)
            return popen.pid if popen is not None and popen.poll() is None else 0

    def forget(self, key: str) -> None:
        """Wait for its end and drop it; harmless if it is unknown."""
        with self._lock:
            popen = self._popen.pop(key, None)
        if popen is not None:
            popen.wait()

    def forget_ended(self, selects: Callable[[str], bool] = lambda _key: True) -> None:
        """Drop those that have ended and whose key is selected."""
        with self._lock:
            for key in list(filter(selects, self._popen)):
                if self._popen[key].poll() is not None:
                    del self._popen[key]
