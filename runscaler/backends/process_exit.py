"""A descriptor that becomes readable when a process ends, whoever started that process."""

from __future__ import annotations

import os
import select
import sys
from typing import Protocol


class ExitDescriptor(Protocol):
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class _PidFd:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


def open_exit_descriptor(pid: int) -> ExitDescriptor | None:
    """None if there is no such process, or if the system offers no such descriptor (Linux before 5.3)."""
    try:
        if sys.platform == "darwin":
            return _kqueue(pid)
        return _PidFd(os.pidfd_open(pid))
    except (OSError, AttributeError):
        return None


if sys.platform == "darwin":

    def _kqueue(pid: int) -> ExitDescriptor:
        queue = select.kqueue()
        event = select.kevent(
            pid, filter=select.KQ_FILTER_PROC, flags=select.KQ_EV_ADD, fflags=select.KQ_NOTE_EXIT
        )
        try:
            queue.control([event], 0)
        except OSError:
            queue.close()
            raise
        return queue
