"""Making a VM go, whatever state it is in; safe to repeat, and done when nothing of it is left."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.tart.cli import TartTimedOut
from runscaler.backends.tart.output_errors import VmNotFound, VmRunning, command_error
from runscaler.backends.tart.processes import RUN_PROCESSES, pid_by_command_line
from runscaler.errors import BackendError

if TYPE_CHECKING:
    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.timings import Timings
    from runscaler.backends.tart.vm import Vm
    from runscaler.interrupt import Interrupt

_STEP = 0.01


@dataclass(frozen=True, slots=True)
class Removal:
    """Of one VM that is ours."""

    tart: Tart
    vm: Vm
    timings: Timings

    def run(self, interrupt: Interrupt) -> None:
        """Raises `BackendError` where it is not gone yet: to be tried again."""
        began = self.tart.clock.monotonic()
        self._end_process(interrupt)
        self._delete(interrupt)
        RUN_PROCESSES.forget(str(self.vm.path))
        took = self.tart.clock.monotonic() - began
        logger.debug("VM {} was gone after {:.3f} s", self.vm.name, took)

    def _pid(self) -> int:
        """Of our own child even before it has the lock, else of the lock's owner; without a config.json there
        is no lock, and yet something may run it, or still clone it."""
        known = RUN_PROCESSES.living_pid(str(self.vm.path)) or self.vm.pid()
        return known or (0 if self.vm.config.exists() else pid_by_command_line(self.vm.name))

    def _end_process(self, interrupt: Interrupt) -> None:
        """SIGINT first: macOS then counts the VM as ended more surely than after a SIGKILL."""
        for number in (signal.SIGINT, signal.SIGKILL):
            pid = self._pid()
            if not pid or self._ended_by(number, pid, interrupt):
                return
        raise BackendError(
            f"cannot end VM {self.vm.name}: its process {self._pid()} outlives SIGKILL",
            fixes=("restart the Mac",),
        )

    def _ended_by(self, number: signal.Signals, pid: int, interrupt: Interrupt) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            self._stop_by_command(interrupt)
        deadline = self.tart.clock.monotonic() + self.timings.signal_grace
        while self._pid() == pid:
            if self.tart.clock.monotonic() >= deadline:
                logger.debug("VM {} did not end on {}", self.vm.name, number.name)
                return False
            self.tart.clock.pause(_STEP, interrupt)
        return True

    def _stop_by_command(self, interrupt: Interrupt) -> None:
        seconds = self.timings.delete + self.timings.signal_grace
        with suppress(TartTimedOut):
            self.tart.call("stop", self.vm.name, "--timeout", "5", seconds=seconds, interrupt=interrupt)

    def _delete(self, interrupt: Interrupt) -> None:
        """Again and again: other commands may be in the way for a moment."""
        began, again = self.tart.clock.monotonic(), self.timings.delete_retry
        pause = again
        while self.vm.exists():
            error = self._deleted_once(interrupt)
            if error is None and not self.vm.exists():
                return
            error = error or BackendError(f"VM {self.vm.name} is there again after its deletion")
            waited = self.tart.clock.monotonic() - began
            if waited >= self.timings.delete_total:
                raise error
            if isinstance(error, VmRunning) and waited >= self.timings.delete_kill_after:
                self._kill_anew()
            self.tart.clock.pause(pause, interrupt)
            pause = again if isinstance(error, VmRunning) else min(pause * 2, again * 10)

    def _deleted_once(self, interrupt: Interrupt) -> BackendError | None:
        """What was in the way, None for nothing."""
        doing, seconds = f"delete VM {self.vm.name}", self.timings.delete
        with self.tart.home.turn(interrupt):
            try:
                output = self.tart.call("delete", self.vm.name, seconds=seconds, interrupt=interrupt)
            except TartTimedOut as hung:
                return hung
            refusal = command_error(doing, output) if output.code != 0 else None
            if refusal is not None and not isinstance(refusal, VmNotFound):
                return refusal
            return self._swept_rest(doing)

    def _swept_rest(self, doing: str) -> BackendError | None:
        """tart leaves a directory that has no config.json (docs/tart.md § 5)."""
        if not self.vm.exists() or self.vm.config.exists():
            return None
        try:
            shutil.rmtree(self.vm.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            return BackendError(f"cannot {doing}: {error}")
        return None

    def _kill_anew(self) -> None:
        pid = self.vm.pid()
        if pid:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
