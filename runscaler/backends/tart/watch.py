"""Those who want to know what the monitor notices, and whether tart itself is there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from runscaler.backends.base import ThingDown, ThingUp
from runscaler.errors import BackendDown

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.backends.base import Observation
    from runscaler.clock import Clock


class TartWatch:
    """One receiver. `stop` returns when no report is under way any more."""

    def __init__(self, report: Callable[[Observation], None], stopped: Callable[[TartWatch], None]) -> None:
        self._report = report
        self._stopped = stopped
        self._lock = threading.RLock()
        self._over = False
        self.greeted = False

    def report(self, observation: Observation) -> None:
        with self._lock:
            if not self._over:
                self._report(observation)

    def stop(self) -> None:
        with self._lock:
            self._over = True
        self._stopped(self)


class Watches:
    """`tick` is called on one thread only, the rest from any."""

    def __init__(self, clock: Clock, every: float, find_tart: Callable[[], object]) -> None:
        self._clock, self._every, self._find_tart = clock, every, find_tart
        self._lock = threading.Lock()
        self._watches: list[TartWatch] = []
        self._looked_at = -every
        self._state: Observation = ThingUp()

    def add(self, report: Callable[[Observation], None]) -> TartWatch:
        watch = TartWatch(report, self._remove)
        with self._lock:
            self._watches.append(watch)
        return watch

    def report(self, observation: Observation) -> None:
        """All who know by now whether tart is there; the others take an inventory when they do."""
        for watch in self._all():
            if watch.greeted:
                watch.report(observation)

    def tick(self) -> None:
        """Look whether tart is still there; say so to who has not heard."""
        watches = self._all()
        if not watches:
            return
        before, state = self._state, self._looked()
        for watch in watches:
            if not watch.greeted or type(state) is not type(before):
                watch.greeted = True
                watch.report(state)

    def _looked(self) -> Observation:
        now = self._clock.monotonic()
        fresh = now - self._looked_at < self._every
        if not fresh or any(not watch.greeted for watch in self._all()):
            self._looked_at = now
            try:
                self._find_tart()
            except BackendDown as error:
                self._state = ThingDown(str(error), error.fixes)
            else:
                self._state = ThingUp()
        return self._state

    def _all(self) -> list[TartWatch]:
        with self._lock:
            return list(self._watches)

    def _remove(self, watch: TartWatch) -> None:
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)
