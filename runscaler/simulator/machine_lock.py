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

from runscaler.threads import keep_running

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from runscaler.simulator.http_messages import Connection
    from runscaler.simulator.machine import Machine
    from runscaler.simulator.offset_clock import OffsetClock

T = TypeVar("T")


LONGEST_SLEEP = 3600.0
ANY_CHANGE = "any change"
"""The key of `watch`, woken by each entry of the journal."""


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
        self._calls: defaultdict[str, set[Callable[[], None]]] = defaultdict(set)
        self._ticker = threading.Event()
        self._ticking: threading.Thread | None = None
        self._next_tick = float("-inf")
        self._seen_changes = 0

    def start(self) -> None:
        self._ticking = keep_running(self._tick, "simulator-clock")

    def close(self) -> None:
        """End all waits, now and later, and join the clock's thread. May be called twice."""
        with self._lock:
            self.closed = True
            calls = [call for some in self._calls.values() for call in some]
            self._calls.clear()
        for call in (*calls, self._ticker.set):
            call()
        if self._ticking is not None:
            self._ticking.join()

    def __enter__(self) -> Machine:
        self._lock.acquire()
        self.machine.tick()
        return self.machine

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        calls = self._take_calls()
        self._lock.release()
        for call in calls:
            call()

    def wait(self, key: str, ready: Callable[[], T | None], seconds: float) -> T | None:
        """Block until `ready`, which is called with the lock held, returns something; None after
        `seconds`. `ready` is called again whenever `key` is woken."""
        woken = threading.Event()
        clock = self.machine.store.clock
        deadline = clock.monotonic() + seconds
        while True:
            woken.clear()
            with self:
                self._cancel(key, woken.set)
                result = None if self.closed else ready()
                left = deadline - clock.monotonic()
                if self.closed or result is not None or left <= 0:
                    return result
                self.call_when_woken(key, woken.set)
            woken.wait(left)

    def call_when_woken(self, key: str, call: Callable[[], None]) -> None:
        """Make this call once, without the lock, on the thread whose step wakes `key`. The lock must be
        held."""
        self._calls[key].add(call)

    def watch(self, predicate: Callable[[], bool], seconds: float) -> bool:
        """Block until `predicate`, which is called with the lock held after each change, is true; False
        after `seconds`."""
        return bool(self.wait(ANY_CHANGE, lambda: predicate() or None, seconds))

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

    def _cancel(self, key: str, call: Callable[[], None]) -> None:
        if key in self._calls:
            self._calls[key].discard(call)
            if not self._calls[key]:
                del self._calls[key]

    def _take_calls(self) -> list[Callable[[], None]]:
        """The calls for all keys that are woken, to be made once the lock is free."""
        store = self.machine.store
        if store.changes != self._seen_changes:
            self._seen_changes = store.changes
            store.woken.add(ANY_CHANGE)
        calls = [call for key in store.woken if key in self._calls for call in self._calls.pop(key)]
        store.woken.clear()
        due = store.deadlines.next_due()
        if due is not None and due < self._next_tick:
            calls.append(self._ticker.set)
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
