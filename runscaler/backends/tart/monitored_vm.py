"""One VM under observation: does it run, does its runner run, or does its warm guest still answer?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.base import Ending
from runscaler.backends.tart.background_exec import BackgroundExec
from runscaler.backends.tart.guest import Guest, agent_answers_on, runner_exit_code
from runscaler.backends.tart.processes import RUN_PROCESSES
from runscaler.backends.tart.record import Phase
from runscaler.errors import BackendError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from runscaler.backends.process_exit import ExitDescriptor
    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.record import VmRecord
    from runscaler.backends.tart.timings import Timings
    from runscaler.backends.wakeable_selector import WakeableSelector

_MAX_FAILED_PROBES = 2
"""After so many in a row, the guest of a warm VM counts as hung."""


@dataclass(frozen=True, slots=True)
class VmEnd:
    """`ending` is None if somebody removed the VM."""

    ending: Ending | None


class MonitoredVm:
    """For the monitor's thread only. Registers with its `selector`, as which data it appears there."""

    def __init__(self, record: VmRecord, tart: Tart, timings: Timings, selector: WakeableSelector) -> None:
        self.record = record
        self._vm = tart.home.vm(record.name)
        self._guest = Guest(tart, record.name, timings)
        self._clock, self._timings, self._selector = tart.clock, timings, selector
        self._exit: ExitDescriptor | None = None
        self._exec: BackgroundExec | None = None  # waits for the end of the runner, or probes a warm guest
        self._next_exec = 0.0
        self._probe_deadline = 0.0
        self._failed_probes = 0

    def open(self, exit_descriptor: Callable[[int], ExitDescriptor | None]) -> None:
        if self.record.phase is Phase.POOLED:
            self._next_exec = self._clock.monotonic() + self._timings.warm_probe_interval
        pid = self._vm.pid()
        self._exit = exit_descriptor(pid) if pid else None
        if self._exit is not None:
            self._selector.register(self._exit, self)

    def close(self) -> None:
        self._close_exit()
        self._close_exec()

    def check(self) -> VmEnd | None:
        """Call it after every event, and when `seconds_to_check` have passed. None while nothing ended."""
        if not self._vm.pid():
            return self._end_of_vm()
        return self._check_warm() if self.record.phase is Phase.POOLED else self._check_runner()

    def seconds_to_check(self) -> float:
        """Until it must be checked without an event."""
        now, due = self._clock.monotonic(), math.inf
        if self._exit is None:
            due = now + self._timings.exit_poll
        if self._exec is None or self._exec.ended:
            due = min(due, self._next_exec)
        elif self.record.phase is Phase.POOLED:
            due = min(due, self._probe_deadline)
        return max(0.0, due - now)

    def on_readable(self, file: object) -> None:
        """Something that it registered became readable."""
        if file is self._exit:
            self._close_exit()  # its lock may live a moment longer: it is polled from now on
        elif self._exec is not None:
            self._exec.read()
            if self._exec.ended:
                self._selector.unregister(self._exec)
                self._exec.close()

    def _end_of_vm(self) -> VmEnd:
        if not self._vm.config.exists():
            return VmEnd(None)
        code = RUN_PROCESSES.exit_code(str(self._vm.path))
        output = " ".join(self._vm.run_output(300).decode(errors="replace").split())
        logger.bind(runner=self.record.runner_name).debug("VM {} ended: {}", self._vm.name, output)
        signal = -code if code is not None and code < 0 else None
        return VmEnd(Ending(signal=signal, at=self._clock.wall()))

    def _check_runner(self) -> VmEnd | None:
        """An exec that was lost is started again; the runner goes on meanwhile."""
        watch, now = self._exec, self._clock.monotonic()
        if watch is not None and watch.succeeded:
            return VmEnd(Ending(exit_code=runner_exit_code(watch.output), at=self._clock.wall()))
        if (watch is None or watch.ended) and now >= self._next_exec:
            self._next_exec = now + self._timings.runner_watch_retry
            self._start_exec(lambda: self._guest.spawn_runner_watch(self.record.guest_pid))
        return None

    def _check_warm(self) -> VmEnd | None:
        """A hung guest does not end by itself, and nobody else would notice before a job needs it.

        A silent control socket proves nothing: then an exec decides."""
        probe, now = self._exec, self._clock.monotonic()
        if probe is not None:
            if not probe.ended and now < self._probe_deadline:
                return None
            self._close_exec()
            return self._note_probe(answered=probe.succeeded)
        if now < self._next_exec:
            return None
        self._next_exec = now + self._timings.warm_probe_interval
        self._probe_deadline = now + self._timings.exec_probe
        if self._vm.socket is not None and agent_answers_on(self._vm.socket, self._timings.socket_probe):
            return self._note_probe(answered=True)
        self._start_exec(self._guest.spawn_probe)
        return None

    def _note_probe(self, *, answered: bool) -> VmEnd | None:
        self._failed_probes = 0 if answered else self._failed_probes + 1
        if self._failed_probes < _MAX_FAILED_PROBES:
            return None
        logger.warning("the guest of warm VM {} does not answer any more", self.record.name)
        return VmEnd(Ending(at=self._clock.wall()))

    def _start_exec(self, spawn: Callable[[], subprocess.Popen[bytes]]) -> None:
        try:
            self._exec = BackgroundExec(spawn())
        except BackendError as error:
            logger.debug("the guest of {} cannot be queried now: {}", self.record.name, error)
        else:
            self._selector.register(self._exec, self)

    def _close_exec(self) -> None:
        if self._exec is not None:
            self._selector.unregister(self._exec)
            self._exec.close()
            self._exec = None

    def _close_exit(self) -> None:
        if self._exit is not None:
            self._selector.unregister(self._exit)
            self._exit.close()
            self._exit = None
