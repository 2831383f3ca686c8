"""Waiting for the machine: what wakes a wait, and that nothing else does."""

from __future__ import annotations

import threading
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from runscaler.clock import SystemClock
from runscaler.simulator.machine import Machine
from runscaler.simulator.machine_lock import MachineLock
from runscaler.simulator.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 30.0
FOREVER = 86400.0


@pytest.fixture
def lock() -> Iterator[MachineLock]:
    made = MachineLock(Machine(SystemClock(), Random(0), Options()))
    yield made
    made.close()


class Polls:
    """Threads that each wait for a key; `checks` counts how often each has checked for a result."""

    def __init__(self, lock: MachineLock, count: int) -> None:
        self.lock = lock
        self.checks: Counter[str] = Counter()
        self.keys = [f"poll/{number}" for number in range(count)]
        self._checked = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._wait, args=(key,)) for key in self.keys]
        for thread in self._threads:
            thread.start()
        self.wait_for_checks(count)

    def _wait(self, key: str) -> None:
        def ready() -> None:
            self.checks[key] += 1
            self._checked.release()

        self.lock.wait(key, ready, FOREVER)

    def wait_for_checks(self, count: int) -> None:
        for _ in range(count):
            assert self._checked.acquire(timeout=LIMIT)

    def end(self) -> None:
        self.lock.close()
        for thread in self._threads:
            thread.join(LIMIT)


def wake(lock: MachineLock, key: str) -> None:
    with lock as machine:
        machine.store.note("something")
        machine.store.woken.add(key)


def test_a_waiting_poll_checks_again_only_when_its_own_key_is_woken(lock: MachineLock) -> None:
    polls = Polls(lock, 40)
    woken, *idle = polls.keys

    for _ in range(3):
        wake(lock, woken)
        polls.wait_for_checks(1)
    polls.end()

    assert polls.checks == {woken: 4, **dict.fromkeys(idle, 1)}


def test_a_wait_returns_what_it_was_woken_for(lock: MachineLock) -> None:
    found: list[str] = []
    threading.Timer(0.01, lambda: (found.append("job"), wake(lock, "poll"))).start()

    assert lock.wait("poll", lambda: found[0] if found else None, LIMIT) == "job"


def test_a_deadline_of_the_machine_runs_while_all_threads_wait(lock: MachineLock) -> None:
    lock.start()
    found: list[str] = []

    def due() -> None:
        found.append("deadline")
        lock.machine.store.woken.add("poll")

    with lock as machine:
        machine.store.deadlines.after(0.01, due)

    assert lock.wait("poll", lambda: found[0] if found else None, LIMIT) == "deadline"


def test_a_waiting_call_is_made_once_and_without_the_lock(lock: MachineLock) -> None:
    calls: list[str] = []

    def call() -> None:
        with lock:  # would block if the lock were still held
            calls.append("called")

    with lock:
        lock.call_when_woken("poll", call)
    wake(lock, "another")
    assert calls == []
    for _ in range(2):
        wake(lock, "poll")

    assert calls == ["called"]


@pytest.mark.parametrize("wait", [MachineLock.wait, MachineLock.watch])
def test_closing_the_lock_ends_all_waits_and_refuses_new_ones(
    lock: MachineLock, wait: Callable[..., object]
) -> None:
    begun = threading.Semaphore(0)
    condition = begun.release  # returns None: there is nothing yet
    arguments = (condition, FOREVER) if wait is MachineLock.watch else ("poll", condition, FOREVER)
    waiting = threading.Thread(target=wait, args=(lock, *arguments))
    waiting.start()
    assert begun.acquire(timeout=LIMIT)

    lock.close()
    waiting.join(LIMIT)

    assert not waiting.is_alive()
    assert not wait(lock, *arguments)
