"""Reports the ends of VMs and of the runners in them, on one thread for all VMs of a backend.

A VM ends when its `tart run` does, which the system reports at once. A runner ends when the `tart exec`
that waits for it does (docs/tart.md § 13).
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from runscaler.backends.base import Ending
from runscaler.backends.tart.monitored_vm import MonitoredVm
from runscaler.backends.wakeable_selector import WakeableSelector

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.backends.process_exit import ExitDescriptor
    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.record import VmRecord
    from runscaler.backends.tart.timings import Timings
    from runscaler.clock import Clock


class VmMonitor:
    """Thread-safe. On its own thread it calls `ended` once for each VM that ended (None: somebody removed
    it), and `tick` every `Timings.tool_check_interval` seconds or more often."""

    def __init__(
        self,
        clock: Clock,
        timings: Timings,
        exit_descriptor: Callable[[int], ExitDescriptor | None],
        ended: Callable[[VmRecord, Ending | None], None],
        tick: Callable[[], None],
    ) -> None:
        self._clock, self._timings, self._exit_descriptor = clock, timings, exit_descriptor
        self._ended, self._tick = ended, tick
        self._selector = WakeableSelector()
        self._requests: deque[tuple[str, MonitoredVm | None]] = deque()
        self._vms: dict[str, MonitoredVm] = {}  # for the monitor's thread
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._endings: dict[str, Ending] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, record: VmRecord, tart: Tart) -> None:
        """Monitor it until it ends or is discarded. A VM added again is monitored by the new record."""
        monitored = MonitoredVm(record, tart, self._timings, self._selector)
        with self._lock:
            self._names.add(record.name)
            self._endings.pop(record.name, None)
        self._requests.append((record.name, monitored))
        self.wake()

    def discard(self, name: str) -> None:
        """Do not report its end. Harmless if it is not monitored."""
        with self._lock:
            self._names.discard(name)
            self._endings.pop(name, None)
        self._requests.append((name, None))
        self.wake()

    def __contains__(self, name: str) -> bool:
        """Was it added and not discarded? Also true after its end."""
        with self._lock:
            return name in self._names

    def ending(self, name: str) -> Ending | None:
        """Of a VM that was added; None while it runs."""
        with self._lock:
            return self._endings.get(name)

    def wake(self) -> None:
        """Have `tick` called soon."""
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="tart-vm-monitor", daemon=True)
                self._thread.start()
        self._selector.wake()

    def stop(self) -> None:
        """Returns when no report can follow any more. Harmless when repeated."""
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
            thread = self._thread
        self._selector.wake()
        if thread is None:
            self._selector.close()
        elif thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._handle_requests()
                self._tick()
                for monitored in list(self._vms.values()):
                    self._check(monitored)
                self._wait()
        finally:
            for name in list(self._vms):
                self._drop(name)
            self._selector.close()

    def _handle_requests(self) -> None:
        while self._requests:
            name, monitored = self._requests.popleft()
            self._drop(name)
            if monitored is not None:
                self._vms[name] = monitored
                monitored.open(self._exit_descriptor)

    def _check(self, monitored: MonitoredVm) -> None:
        end, name = monitored.check(), monitored.record.name
        if end is None:
            return
        with self._lock:
            if name not in self._names:
                return
            self._endings[name] = end.ending or Ending(at=self._clock.wall())
        self._drop(name)
        self._ended(monitored.record, end.ending)

    def _wait(self) -> None:
        checks = [monitored.seconds_to_check() for monitored in self._vms.values()]
        for key in self._selector.select(min([self._timings.tool_check_interval, *checks])):
            monitored: MonitoredVm = key.data
            monitored.on_readable(key.fileobj)

    def _drop(self, name: str) -> None:
        monitored = self._vms.pop(name, None)
        if monitored is not None:
            monitored.close()
