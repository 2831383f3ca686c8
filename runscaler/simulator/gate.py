"""The one lock around the machine, and all waiting on it.

    with gate: …                     one step: what is due happens first, who has news is woken after
    gate.wait(key, ready, seconds)   a long poll: sleeps until its own key is woken
    gate.watch(predicate, seconds)   sleeps until any change

A waiting poll costs nothing: it is woken by name within the step that gave it something, and one
thread sleeps until the next deadline of the machine.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from runscaler.simulator.exchange import Connection
    from runscaler.simulator.offset_clock import OffsetClock
    from runscaler.simulator.state import Machine

T = TypeVar("T")


class Surroundings(Protocol):
    """What is around the machine and faults may play with."""

    clock: OffsetClock

    def leave(self) -> None:
        """Refuse connections."""

    def come_back(self) -> None:
        """Accept them again."""


LONGEST_SLEEP = 3600.0


class Gate:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.surroundings: Surroundings | None = None
        self.closed = False
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, set[threading.Condition]] = defaultdict(set)
        self._watching: set[threading.Condition] = set()
        self._ticker = threading.Condition(self._lock)
        self._ticking: threading.Thread | None = None
        self._next_tick = float("inf")
        self._seen_changes = 0

    def start(self) -> None:
        self._ticking = threading.Thread(target=self._tick, name="simulator-clock", daemon=True)
        self._ticking.start()

    def close(self) -> None:
        """End all waits now and for ever; complete when it returns, and may be called twice."""
        with self._lock:
            self.closed = True
            self._ticker.notify_all()
            for condition in self._sleepers():
                condition.notify_all()
        if self._ticking is not None:
            self._ticking.join()

    def __enter__(self) -> Machine:
        self._lock.acquire()
        self.machine.tick()
        return self.machine

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wake()
        self._lock.release()

    def wait(self, key: str, ready: Callable[[], T | None], seconds: float) -> T | None:
        """Block until `ready` (called with the lock held) gives something; None when time is up."""
        condition = threading.Condition(self._lock)
        with self:
            self._waiting[key].add(condition)
        try:
            return self._sleep(condition, ready, seconds)
        finally:
            with self._lock:
                self._waiting[key].discard(condition)
                if not self._waiting[key]:
                    del self._waiting[key]

    def watch(self, predicate: Callable[[], bool], seconds: float) -> bool:
        """Block until `predicate` (called with the lock held) is true; False when time is up."""
        condition = threading.Condition(self._lock)
        with self:
            self._watching.add(condition)
        try:
            return bool(self._sleep(condition, lambda: predicate() or None, seconds))
        finally:
            with self._lock:
                self._watching.discard(condition)

    def wake(self, key: str) -> None:
        """Let the poll of this name look again (its client hung up)."""
        with self:
            self.machine.world.woken.add(key)

    def pause(self, seconds: float, connection: Connection) -> None:
        """Let time pass for a fault; over early when the client hangs up or the simulator closes."""
        key = f"pause/{id(connection)}"
        connection.when_gone(lambda: self.wake(key))
        self.wait(key, lambda: connection.gone() or None, seconds)
        connection.when_gone(None)

    def _sleep(
        self, condition: threading.Condition, ready: Callable[[], T | None], seconds: float
    ) -> T | None:
        clock = self.machine.world.clock
        deadline = clock.monotonic() + seconds
        with self:
            while not self.closed:
                result = ready()
                left = deadline - clock.monotonic()
                if result is not None or left <= 0:
                    return result
                self._wake()
                condition.wait(left)
                self.machine.tick()
        return None

    def _wake(self) -> None:
        world = self.machine.world
        for key in world.woken:
            for condition in self._waiting.get(key, ()):
                condition.notify()
        world.woken.clear()
        if world.changes != self._seen_changes:
            self._seen_changes = world.changes
            for condition in self._watching:
                condition.notify()
        due = world.deadlines.next_due()
        if due is not None and due < self._next_tick:
            self._ticker.notify()

    def _tick(self) -> None:
        clock = self.machine.world.clock
        with self:
            while not self.closed:
                self.machine.tick()
                self._wake()
                due = self.machine.world.deadlines.next_due()
                self._next_tick = float("inf") if due is None else due
                self._ticker.wait(min(LONGEST_SLEEP, max(0.0, self._next_tick - clock.monotonic())))

    def _sleepers(self) -> list[threading.Condition]:
        return [*self._watching, *(one for some in self._waiting.values() for one in some)]
