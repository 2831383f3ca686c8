"""Removes a VM, whatever state it is in, until nothing of it is left. Safe to repeat."""

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

_POLL_INTERVAL = 0.01


@dataclass(frozen=True, slots=True)
class Removal:
    """Of one VM that is ours."""

    tart: Tart
    vm: Vm
    timings: Timings

    def run(self, interrupt: Interrupt) -> None:
        """Raises `BackendError` if the VM is not gone yet, and `Interrupted`; it can then be repeated."""
        began = self.tart.clock.monotonic()
        self._end_process(interrupt)
        self._delete(interrupt)
        RUN_PROCESSES.forget(str(self.vm.path))
        took = self.tart.clock.monotonic() - began
        logger.debug("VM {} was gone after {:.3f} s", self.vm.name, took)

    def _pid(self) -> int:
        """Of the VM's process, 0 if none.

        Our own child is known even before it has locked config.json. Without a config.json there is no lock,
        yet a process may still run the VM, or still clone it."""
        known = RUN_PROCESSES.living_pid(str(self.vm.path)) or self.vm.pid()
        return known or (0 if self.vm.config.exists() else pid_by_command_line(self.vm.name))

    def _end_process(self, interrupt: Interrupt) -> None:
        """SIGINT first: after a SIGKILL macOS is more likely to go on counting the VM as running."""
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
            self.tart.clock.pause(_POLL_INTERVAL, interrupt)
        return True

    def _stop_by_command(self, interrupt: Interrupt) -> None:
        seconds = self.timings.delete + self.timings.signal_grace
        with suppress(TartTimedOut):
            self.tart.call("stop", self.vm.name, "--timeout", "5", seconds=seconds, interrupt=interrupt)

    def _delete(self, interrupt: Interrupt) -> None:
        """With retries, as other commands may be in the way for a moment."""
        began, retry = self.tart.clock.monotonic(), self.timings.delete_retry
        pause = retry
        while self.vm.exists():
            error = self._attempt_delete(interrupt)
            if error is None and not self.vm.exists():
                return
            error = error or BackendError(f"VM {self.vm.name} exists again after its deletion")
            waited = self.tart.clock.monotonic() - began
            if waited >= self.timings.delete_total:
                raise error
            if isinstance(error, VmRunning) and waited >= self.timings.delete_kill_after:
                self._kill()
            self.tart.clock.pause(pause, interrupt)
            pause = retry if isinstance(error, VmRunning) else min(pause * 2, retry * 10)

    def _attempt_delete(self, interrupt: Interrupt) -> BackendError | None:
        """What prevented it, if anything."""
        doing, seconds = f"delete VM {self.vm.name}", self.timings.delete
        with self.tart.home.exclusive(interrupt):
            try:
                output = self.tart.call("delete", self.vm.name, seconds=seconds, interrupt=interrupt)
            except TartTimedOut as timed_out:
                return timed_out
            error = command_error(doing, output) if output.code != 0 else None
            if error is not None and not isinstance(error, VmNotFound):
                return error
            return self._delete_remains(doing)

    def _delete_remains(self, doing: str) -> BackendError | None:
        """`tart delete` leaves a directory that has no config.json (docs/tart.md § 5)."""
        if not self.vm.exists() or self.vm.config.exists():
            return None
        try:
            shutil.rmtree(self.vm.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            return BackendError(f"cannot {doing}: {error}")
        return None

    def _kill(self) -> None:
        pid = self.vm.pid()
        if pid:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
