"""The runners that this process itself started: only their exit codes can be known.

One table for the whole process, because children outlive the backend that started them: an
embedding program may close one Autoscaler and open the next.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


class Children:
    """By mark; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._popen: dict[str, subprocess.Popen[bytes]] = {}

    def add(self, mark: str, popen: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._popen[mark] = popen

    def has(self, mark: str, pid: int) -> bool:
        """Then the number is still its own, as long as it was not reaped."""
        with self._lock:
            popen = self._popen.get(mark)
            return popen is not None and popen.pid == pid and popen.returncode is None

    def exit_code(self, mark: str) -> int | None:
        """What it ended with (negative: by that signal); reaps it. None: it runs or is no child."""
        with self._lock:  # two polls at once make one of them see a child that was just reaped as alive
            popen = self._popen.get(mark)
            return None if popen is None else popen.poll()

    def reap_lost(self, marks: str, is_there: Callable[[str], bool]) -> None:
        """Forget ended ones whose mark begins so and whose directories somebody removed by hand."""
        with self._lock:
            for mark in [mark for mark in self._popen if mark.startswith(marks) and not is_there(mark)]:
                if self._popen[mark].poll() is not None:
                    del self._popen[mark]

    def forget(self, mark: str) -> None:
        """After it is gone."""
        with self._lock:
            popen = self._popen.pop(mark, None)
        if popen is not None:
            popen.wait()


CHILDREN = Children()
