"""A runner's processes, found by descent, by session, and by the mark in their environment.

The mark finds processes that left the process group, the session and their parent; the session finds
those that cleared their environment. A pid alone never proves anything: it may have been reused, after
a reboot of the host even by a system service.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from runscaler.backends.child_processes import ChildProcesses
from runscaler.backends.process.process_table import PROCESS_TABLE, mark_of
from runscaler.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.backends.process.process_table import ProcessEntry
    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt

WORKER = "Runner.Worker"
KILL_TIMEOUT = 10.0
"""Seconds that killed processes may take to disappear."""
_POLL_INTERVAL = 0.01
_CLOCK_TOLERANCE = 1.0
"""Seconds by which two readings of one process's creation time may differ."""

RUNNER_PROCESSES = ChildProcesses()
"""The main processes of runners that this process started, by mark."""


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """One runner's processes. `pid` and `created` (wall-clock seconds) are those of its main process."""

    mark: str
    pid: int = 0
    created: float = 0.0

    def main_process(self) -> psutil.Process | None:
        """None if it is gone."""
        if not self.pid or RUNNER_PROCESSES.exit_code(self.mark) is not None:
            return None
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if self._is_ours(process) and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def living(self) -> list[psutil.Process]:
        """The main process, those of its session or with its mark, and the descendants of all of these."""
        table = PROCESS_TABLE.snapshot()
        main = self.main_process()
        session = self.pid if self._session_is_ours() else 0
        found = {pid for pid, entry in table.items() if self._belongs(entry, session)}
        if main is not None:
            found.add(main.pid)
        missing = [main] if main is not None and main.pid not in table else []
        return missing + [table[pid].process for pid in _with_descendants(found, table) if pid in table]

    def oldest_marked(self) -> psutil.Process | None:
        """The oldest living process with the mark: the main one, if its pid was never recorded."""
        marked = [entry for entry in PROCESS_TABLE.snapshot().values() if entry.mark == self.mark]
        return min(marked, key=lambda entry: entry.created).process if marked else None

    def runs_a_job(self) -> bool:
        return any(WORKER in argument for process in self.living() for argument in _command_line(process))

    def kill(self, clock: Clock, interrupt: Interrupt) -> None:
        """SIGKILL to all of them and to what they fork meanwhile; returns when none is left.

        Raises `BackendError` if some are not ours to kill or outlive `KILL_TIMEOUT`, and `Interrupted`.
        """
        deadline = clock.monotonic() + KILL_TIMEOUT
        while processes := self.living():
            denied = _kill(processes)
            dying = [process for process in processes if process not in denied]
            while clock.monotonic() < deadline and any(map(is_alive, dying)):
                clock.pause(_POLL_INTERVAL, interrupt)
            if denied or clock.monotonic() >= deadline:
                raise _cannot_kill(denied or dying)

    def _is_ours(self, process: psutil.Process) -> bool:
        """If somebody set the clock, which shifts all creation times, the mark still identifies it."""
        if RUNNER_PROCESSES.living_pid(self.mark) == process.pid:
            return True
        return abs(process.create_time() - self.created) < _CLOCK_TOLERANCE or mark_of(process) == self.mark

    def _session_is_ours(self) -> bool:
        """Even if the main process is gone: its pid was not reused, and the host was not rebooted."""
        if not self.pid:
            return False
        try:
            return self._is_ours(psutil.Process(self.pid))
        except psutil.NoSuchProcess:
            return self.created >= psutil.boot_time() - _CLOCK_TOLERANCE

    def _belongs(self, entry: ProcessEntry, session: int) -> bool:
        is_younger = entry.created >= self.created - _CLOCK_TOLERANCE
        return (session > 0 and entry.session == session and is_younger) or entry.mark == self.mark


def _with_descendants(pids: set[int], table: dict[int, ProcessEntry]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, entry in table.items():
        children.setdefault(entry.parent, []).append(pid)
    found, pending = set(pids), list(pids)
    while pending:
        new = [child for child in children.get(pending.pop(), ()) if child not in found]
        found.update(new)
        pending.extend(new)
    return found


def is_alive(process: psutil.Process) -> bool:
    """Neither gone nor a zombie, and not another process with the same pid."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _kill(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Returns those that we may not kill."""
    denied = []
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            denied.append(process)
    return denied


def _cannot_kill(left: list[psutil.Process]) -> BackendError:
    named = ", ".join(f"{process.pid} ({' '.join(_command_line(process))[:80]})" for process in left)
    return BackendError(
        f"cannot end the runner's processes: {named} cannot be killed",
        fixes=("end them as root", "do not let jobs of the process backend use sudo"),
    )
