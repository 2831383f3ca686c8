"""The receivers of a backend's observations: ends of VMs, and whether tart is installed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from runscaler.backends.base import BackendAvailable, BackendUnavailable
from runscaler.errors import BackendDown

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.backends.base import Observation
    from runscaler.clock import Clock


class TartWatch:
    """One receiver. `knows_state` is set once it was told whether tart is there."""

    def __init__(self, report: Callable[[Observation], None], remove: Callable[[TartWatch], None]) -> None:
        self._report = report
        self._remove = remove
        self._lock = threading.RLock()
        self._stopped = False
        self.knows_state = False

    def report(self, observation: Observation) -> None:
        with self._lock:
            if not self._stopped:
                self._report(observation)

    def stop(self) -> None:
        """Returns when no report is under way any more."""
        with self._lock:
            self._stopped = True
        self._remove(self)


class TartWatches:
    """`check_tart` is for one thread, the rest for any. `find_tart` raises `BackendDown` if there is none."""

    def __init__(self, clock: Clock, interval: float, find_tart: Callable[[], object]) -> None:
        self._clock, self._interval, self._find_tart = clock, interval, find_tart
        self._lock = threading.Lock()
        self._watches: list[TartWatch] = []
        self._checked_at = -interval
        self._state: Observation = BackendAvailable()

    def add(self, report: Callable[[Observation], None]) -> TartWatch:
        watch = TartWatch(report, self._remove)
        with self._lock:
            self._watches.append(watch)
        return watch

    def report(self, observation: Observation) -> None:
        """To all that know the state; the others take an inventory once they are told it."""
        for watch in self._all():
            if watch.knows_state:
                watch.report(observation)

    def report_to_all(self, observation: Observation) -> None:
        """Also to those that do not know the state yet."""
        for watch in self._all():
            watch.report(observation)

    def check_tart(self) -> None:
        """Is tart still there? Tells those that do not know yet, and all if that changed."""
        watches = self._all()
        if not watches:
            return
        before, state = self._state, self._current_state(watches)
        for watch in watches:
            if not watch.knows_state or type(state) is not type(before):
                watch.knows_state = True
                watch.report(state)

    def _current_state(self, watches: list[TartWatch]) -> Observation:
        now = self._clock.monotonic()
        if now - self._checked_at >= self._interval or any(not watch.knows_state for watch in watches):
            self._checked_at = now
            try:
                self._find_tart()
            except BackendDown as error:
                self._state = BackendUnavailable(str(error), error.fixes)
            else:
                self._state = BackendAvailable()
        return self._state

    def _all(self) -> list[TartWatch]:
        with self._lock:
            return list(self._watches)

    def _remove(self, watch: TartWatch) -> None:
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)
