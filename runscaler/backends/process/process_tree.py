"""The processes of a runner: found by descent, by session, and by the mark in their environment.

The mark finds what left the group, the session and its parent; the session finds what cleaned its
environment. A pid alone never proves anything: the number may be another's by now, after a restart
of the host even that of a system service.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from runscaler.backends.process.children import CHILDREN
from runscaler.backends.process.process_table import PROCESS_TABLE, mark_of
from runscaler.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.backends.process.process_table import Seen
    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt

WORKER = "Runner.Worker"
KILL_PATIENCE = 10.0
"""Seconds that killed processes may take to go."""
_STEP = 0.01
_SAME = 1.0
"""Seconds by which two readings of one process's creation may differ."""


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """One runner's processes. `pid` and `created` (wall-clock seconds) are its main process's."""

    mark: str
    pid: int = 0
    created: float = 0.0

    def leader(self) -> psutil.Process | None:
        """The main process, if it lives."""
        if not self.pid or CHILDREN.exit_code(self.mark) is not None:
            return None
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if self._is_ours(process) and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def members(self) -> list[psutil.Process]:
        """All that live: the main process, what has its session or the mark, and all their descendants."""
        seen = PROCESS_TABLE.take()
        leader = self.leader()
        session = self.pid if self._session_is_ours() else 0
        found = {pid for pid, each in seen.items() if self._belongs(each, session)}
        if leader is not None:
            found.add(leader.pid)
        missed = [leader] if leader is not None and leader.pid not in seen else []
        return missed + [seen[pid].process for pid in _with_descendants(found, seen) if pid in seen]

    def first_marked(self) -> psutil.Process | None:
        """The oldest process that carries the mark: the main one, where its pid was never noted."""
        marked = [each for each in PROCESS_TABLE.take().values() if each.mark == self.mark]
        return min(marked, key=lambda each: each.created).process if marked else None

    def runs_a_job(self) -> bool:
        return any(WORKER in argument for process in self.members() for argument in _command(process))

    def kill(self, clock: Clock, interrupt: Interrupt) -> None:
        """SIGKILL to all of it, again for what was forked meanwhile; returns when none is left."""
        deadline = clock.monotonic() + KILL_PATIENCE
        while members := self.members():
            denied = _kill(members)
            dying = [process for process in members if process not in denied]
            while clock.monotonic() < deadline and any(map(_lives, dying)):
                clock.pause(_STEP, interrupt)
            if denied or clock.monotonic() >= deadline:
                raise _unkillable(denied or dying)

    def _is_ours(self, process: psutil.Process) -> bool:
        """The clock may have been set since, which moves all creation times: then the mark tells."""
        if CHILDREN.has(self.mark, self.pid):
            return True
        return abs(process.create_time() - self.created) < _SAME or mark_of(process) == self.mark

    def _session_is_ours(self) -> bool:
        """With the main process gone: its number was taken by nobody since, and is of this boot."""
        if not self.pid:
            return False
        try:
            return self._is_ours(psutil.Process(self.pid))
        except psutil.NoSuchProcess:
            return self.created >= psutil.boot_time() - _SAME

    def _belongs(self, seen: Seen, session: int) -> bool:
        of_session = session > 0 and seen.session == session and seen.created >= self.created - _SAME
        return of_session or seen.mark == self.mark


def _with_descendants(pids: set[int], seen: dict[int, Seen]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, each in seen.items():
        children.setdefault(each.parent, []).append(pid)
    found, waiting = set(pids), list(pids)
    while waiting:
        new = [child for child in children.get(waiting.pop(), ()) if child not in found]
        found.update(new)
        waiting.extend(new)
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _kill(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that are not ours to kill."""
    denied = []
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            denied.append(process)
    return denied


def _unkillable(left: list[psutil.Process]) -> BackendError:
    named = ", ".join(f"{process.pid} ({' '.join(_command(process))[:80]})" for process in left)
    return BackendError(
        f"cannot end the runner's processes: {named} cannot be killed",
        fixes=("end them as root", "do not let jobs of the process backend use sudo"),
    )
