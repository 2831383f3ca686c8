"""The processes of a runner: found by descent, by session, and by the mark in their environment.

The mark finds what left the group, the session and its parent; the session finds what cleaned its
environment. A pid alone never proves anything: the number may be another's by now, after a restart
of the host even that of a system service.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from runscaler.errors import BackendError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable

    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt

MARK = "RUNSCALER_RESOURCE"
"""The environment variable that every process of a runner inherits: `OWNER/RUNNER`."""
WORKER = "Runner.Worker"
KILL_PATIENCE = 10.0
"""Seconds that killed processes may take to go."""
_STEP = 0.01
_SAME = 1.0
"""Seconds by which two readings of one process's creation may differ."""


class Children:
    """The runners that this process itself started, by mark: only their exit codes can be known.

    One table for the whole process, because children outlive the backend that started them: an
    embedding program may close one Autoscaler and open the next.
    """

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


@dataclass(frozen=True, slots=True)
class Tree:
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
        """All that live; no zombies. Looks at every process of the host once."""
        found: dict[int, psutil.Process] = {}
        leader = self.leader()
        if leader is not None:
            found[leader.pid] = leader
            with suppress(psutil.NoSuchProcess):
                found.update((child.pid, child) for child in leader.children(recursive=True))
        with_session = self._session_is_ours()
        for process in psutil.process_iter():
            if process.pid not in found and self._belongs(process, with_session):
                found[process.pid] = process
        found.pop(os.getpid(), None)
        return [process for process in found.values() if _lives(process)]

    def first_marked(self) -> psutil.Process | None:
        """The oldest process that carries the mark: the main one, where its pid was never noted."""
        marked = [process for process in psutil.process_iter() if _mark_of(process) == self.mark]
        return min(filter(_lives, marked), key=psutil.Process.create_time, default=None)

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
        return abs(process.create_time() - self.created) < _SAME or _mark_of(process) == self.mark

    def _session_is_ours(self) -> bool:
        """With the main process gone: its number was taken by nobody since, and is of this boot."""
        if not self.pid:
            return False
        try:
            return self._is_ours(psutil.Process(self.pid))
        except psutil.NoSuchProcess:
            return self.created >= psutil.boot_time() - _SAME

    def _belongs(self, process: psutil.Process, with_session: bool) -> bool:
        if with_session and _session_of(process) == self.pid and self._is_younger(process):
            return True
        return _mark_of(process) == self.mark

    def _is_younger(self, process: psutil.Process) -> bool:
        try:
            return process.create_time() >= self.created - _SAME
        except psutil.Error:
            return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _mark_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return ""


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _session_of(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except OSError:
        return 0


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
