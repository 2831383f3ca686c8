"""The host's `tart` processes that belong to a VM.

A VM that runs is found by the lock that `tart run` holds on its config.json (`vm.py`). This module is for
the rest: exit codes of our own children, and processes without such a lock.
"""

from __future__ import annotations

from itertools import pairwise

import psutil

from runscaler.backends.child_processes import ChildProcesses

RUN_PROCESSES = ChildProcesses()
"""Each `tart run` that this process started, by the path of its VM."""


def pid_by_command_line(name: str) -> int:
    """The `tart` that is cloning to a VM of that name, or runs one whose files somebody deleted; 0 if none.

    Scans the command lines of all processes.
    """
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        clones = len(words) > 2 and words[-3] == "clone" and words[-1] == name
        if clones or ("run", name) in pairwise(words):
            return int(process.pid)
    return 0
