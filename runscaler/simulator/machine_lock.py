"""The lock of the machine, and all waiting on its state.

    with lock as machine: …          one step: due deadlines run before it, waiting polls are woken after it
    lock.wait(key, ready, seconds)   a long poll: block until `ready` gives something
    lock.call_when_woken(key, call)  the same without a blocked thread
    lock.watch(predicate, seconds)   block until the predicate holds

A waiting poll uses no processor time: the step that has something for it wakes it by its key. One thread
sleeps until the machine's next deadline.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from runscaler.simulator.http_messages import Connection
    from runscaler.simulator.machine import Machine
    from runscaler.simulator.offset_clock import OffsetClock

T = TypeVar("T")


LONGEST_SLEEP = 3600.0


class Environment(Protocol):
    """The parts outside the machine that faults change."""

    clock: OffsetClock

    def stop_listening(self) -> None:
        """Close all connections and refuse new ones."""

    def resume_listening(self) -> None:
        """Accept connections again."""


class MachineLock:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.environment: Environment | None = None
        self.closed = False
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, set[threading.Event]] = defaultdict(set)
        self._calls: dict[str, Callable[[], None]] = {}
        self._watching: set[threading.Event] = set()
        self._ticker = threading.Event()
        self._ticking: threading.Thread | None = None
        self._next_tick = float("-inf")
        self._seen_changes = 0

    def start(self) -> None:
        self._ticking = threading.Thread(target=self._tick, name="simulator-clock", daemon=True)
        self._ticking.start()

    def close(self) -> None:
        """End all waits, now and later, and join the clock's thread. May be called twice."""
        with self._lock:
            self.closed = True
            self._ticker.set()
            for waiting in self._all_waiting():
                waiting.set()
        if self._ticking is not None:
            self._ticking.join()

    def __enter__(self) -> Machine:
        self._lock.acquire()
        self.machine.tick()
        return self.machine

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        calls = self._wake()
        self._lock.release()
        for call in calls:
            call()

    def wait(self, key: str, ready: Callable[[], T | None], seconds: float) -> T | None:
        """Block until `ready`, which is called with the lock held, returns something; None after
        `seconds`. `ready` is called again whenever `key` is woken."""
        woken = threading.Event()
        with self:
            self._waiting[key].add(woken)
        try:
            return self._sleep(woken, ready, seconds)
        finally:
            with self._lock:
                self._waiting[key].discard(woken)
                if not self._waiting[key]:
                    del self._waiting[key]

    def call_when_woken(self, key: str, call: Callable[[], None]) -> None:
        """Make this call once, without the lock, on the thread whose step wakes `key`. The lock must be
        held."""
        self._calls[key] = call

    def watch(self, predicate: Callable[[], bool], seconds: float) -> bool:
        """Block until `predicate`, which is called with the lock held after each change, is true; False
        after `seconds`."""
        changed = threading.Event()
        with self:
            self._watching.add(changed)
        try:
            return bool(self._sleep(changed, lambda: predicate() or None, seconds))
        finally:
            with self._lock:
                self._watching.discard(changed)

    def wake(self, key: str) -> None:
        """Let the poll with this key check again, because its client has hung up."""
        with self:
            self.machine.store.woken.add(key)

    def pause(self, seconds: float, connection: Connection) -> None:
        """Wait for a fault; ends early when the client hangs up or the simulator stops."""
        key = f"pause/{id(connection)}"
        connection.when_gone(lambda: self.wake(key))
        self.wait(key, lambda: connection.gone() or None, seconds)
        connection.when_gone(None)

    def _sleep(self, woken: threading.Event, ready: Callable[[], T | None], seconds: float) -> T | None:
        clock = self.machine.store.clock
        deadline = clock.monotonic() + seconds
        while True:
            woken.clear()
            with self:
                if self.closed:
                    return None
                result = ready()
                left = deadline - clock.monotonic()
            if result is not None or left <= 0:
                return result
            woken.wait(left)

    def _wake(self) -> list[Callable[[], None]]:
        """Wake the polls whose keys are woken; returns the calls to make once the lock is free."""
        store = self.machine.store
        calls = [self._calls.pop(key) for key in store.woken if key in self._calls]
        for key in store.woken:
            for woken in self._waiting.get(key, ()):
                woken.set()
        store.woken.clear()
        if store.changes != self._seen_changes:
            self._seen_changes = store.changes
            for changed in self._watching:
                changed.set()
        due = store.deadlines.next_due()
        if due is not None and due < self._next_tick:
            self._ticker.set()
        return calls

    def _tick(self) -> None:
        clock = self.machine.store.clock
        while True:
            self._ticker.clear()
            with self:
                if self.closed:
                    return
                due = self.machine.store.deadlines.next_due()
                self._next_tick = float("inf") if due is None else due
            self._ticker.wait(min(LONGEST_SLEEP, max(0.0, self._next_tick - clock.monotonic())))

    def _all_waiting(self) -> list[threading.Event]:
        return [*self._watching, *(one for some in self._waiting.values() for one in some)]
