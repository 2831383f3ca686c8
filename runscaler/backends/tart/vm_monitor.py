"""Reports the ends of VMs and of the runners in them, on one thread for all VMs of a backend.

A VM ends when its `tart run` does, which the system reports at once. A runner ends when the `tart exec`
that waits for it does (docs/tart.md § 13).
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.backends.base import Ending
from runscaler.backends.tart.monitored_vm import MonitoredVm
from runscaler.backends.wakeable_selector import WakeableSelector
from runscaler.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.backends.process_exit import ExitDescriptor
    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.record import VmRecord
    from runscaler.backends.tart.timings import Timings
    from runscaler.clock import Clock


@dataclass(frozen=True, slots=True)
class _Request:
    """To monitor a VM, or without a record to stop that."""

    name: str
    record: VmRecord | None = None
    tart: Tart | None = None


class VmMonitor:
    """Thread-safe. On its own thread it calls `ended` once for each VM that ended (None: somebody removed
    it), and `tick` every `Timings.tool_check_interval` seconds or more often; and `crashed` with an error of
    ours that ended the thread."""

    def __init__(
        self,
        clock: Clock,
        timings: Timings,
        exit_descriptor: Callable[[int], ExitDescriptor | None],
        ended: Callable[[VmRecord, Ending | None], None],
        tick: Callable[[], None],
        crashed: Callable[[str], None],
    ) -> None:
        self._clock, self._timings, self._exit_descriptor = clock, timings, exit_descriptor
        self._ended, self._tick, self._crashed = ended, tick, crashed
        self._selector = WakeableSelector()
        self._requests: deque[_Request] = deque()
        self._vms: dict[str, MonitoredVm] = {}  # for the monitor's thread
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._endings: dict[str, Ending] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, record: VmRecord, tart: Tart) -> None:
        """Monitor it until it ends or is discarded. A VM added again is monitored by the new record."""
        with self._lock:
            self._names.add(record.name)
            self._endings.pop(record.name, None)
            self._requests.append(_Request(record.name, record, tart))
        self.wake()

    def discard(self, name: str) -> None:
        """Do not report its end. Harmless if it is not monitored."""
        with self._lock:
            self._names.discard(name)
            self._endings.pop(name, None)
            self._requests.append(_Request(name))
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
                self._thread = start_thread(self._run, "tart-vm-monitor", self._give_up)
            selector = self._selector
        selector.wake()

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

    def _give_up(self, error: str) -> None:
        """The thread has crashed: whatever it monitored is forgotten, and a new thread starts with the next
        request. `crashed` is called last, so that its receiver can add everything anew."""
        with self._lock:
            self._selector = WakeableSelector()
            self._names = {request.name for request in self._requests if request.record is not None}
            self._endings.clear()
            self._thread = None
            if self._stopping.is_set():
                self._selector.close()
        self._crashed(error)

    def _handle_requests(self) -> None:
        while self._requests:
            request = self._requests.popleft()
            self._drop(request.name)
            if request.record is not None and request.tart is not None:
                monitored = MonitoredVm(request.record, request.tart, self._timings, self._selector)
                self._vms[request.name] = monitored
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
