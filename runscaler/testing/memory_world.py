"""The state that all of `MemoryGitHub`'s scale sets share, and the steps that keep it consistent."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from runscaler.errors import Interrupted
from runscaler.testing.memory_records import MemoryJob, MemoryRunner, MemorySession
from runscaler.testing.memory_scale_set import MemoryScaleSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runscaler.clock import Clock
    from runscaler.errors import GitHubError
    from runscaler.interrupt import Interrupt

FIRST_SCALE_SET_ID = 42
FIRST_RUNNER_ID = 1024


class MemoryWorld:
    """Scale sets, jobs and registrations under one lock; `calls` counts the calls by name."""

    def __init__(self, clock: Clock, *, blocking: bool, poll_seconds: float, latency: float) -> None:
        self.clock = clock
        self.blocking = blocking
        self.poll_seconds = poll_seconds
        self.latency = latency
        self.lock = threading.RLock()
        self.calls: Counter[str] = Counter()
        self.groups: dict[str, int] = {"default": 1}
        self.scale_sets: dict[int, MemoryScaleSet] = {}
        self.runners: dict[int, MemoryRunner] = {}
        self.runner_names: dict[str, MemoryRunner] = {}
        self.unclaimed: defaultdict[str, list[MemoryJob]] = defaultdict(list)
        self.failures: defaultdict[str, deque[tuple[GitHubError, bool]]] = defaultdict(deque)
        self._numbers = count(1)
        self._runner_ids = count(FIRST_RUNNER_ID)

    @contextmanager
    def call(self, name: str, interrupt: Interrupt) -> Iterator[None]:
        """One call: counted, delayed, refused or failed as told; the body is run under the lock."""
        if self.latency and name != "poll":
            self.clock.pause(self.latency, interrupt)
        if interrupt.is_set():
            raise Interrupted
        with self.lock:
            self.calls[name] += 1
            failures = self.failures.get(name)
            error, after = failures.popleft() if failures else (None, False)
            if error is not None and not after:
                raise error
            yield
        if error is not None:
            raise error

    @contextmanager
    def changing(self, set_name: str) -> Iterator[MemoryScaleSet]:
        """Change a scale set, then let its jobs and runners find each other."""
        with self.lock:
            scale_set = self.scale_set(set_name)
            if scale_set is None:
                raise LookupError(f"no scale set {set_name!r}")
            yield scale_set
        self.settle(scale_set)

    def settle(self, scale_set: MemoryScaleSet) -> None:
        """Give jobs to idle runners and wake the poll; to be called without the lock."""
        with self.lock:
            given = scale_set.settle(self.clock.wall()) if scale_set.live else []
            scale_set.news.notify_all()
        self.hand_out(given)

    def hand_out(self, runners: Iterable[MemoryRunner]) -> None:
        for runner in runners:
            if runner.on_job is not None and runner.job is not None:
                runner.on_job(runner.job)

    def scale_set(self, set_name: str) -> MemoryScaleSet | None:
        """The live scale set of that name, case ignored, whatever its organisation."""
        wanted = set_name.lower()
        with self.lock:
            live = (each for each in self.scale_sets.values() if each.live)
            return next((each for each in live if each.name.lower() == wanted), None)

    def add_scale_set(self, url: str, name: str, group_id: int, labels: tuple[str, ...]) -> MemoryScaleSet:
        number = FIRST_SCALE_SET_ID + len(self.scale_sets)
        made = MemoryScaleSet(number, url, name, group_id, labels, threading.Condition(self.lock))
        self.scale_sets[number] = made
        made.queued.update((job.id, job) for job in self.unclaimed.pop(name.lower(), ()))
        return made

    def drop(self, scale_set: MemoryScaleSet) -> None:
        """Delete it; its jobs wait for another of that name."""
        for runner in scale_set.end():
            self.forget(runner)
        self.unclaimed[scale_set.name.lower()].extend(scale_set.queued.values())
        scale_set.queued.clear()

    def add_runner(self, scale_set: MemoryScaleSet, name: str) -> MemoryRunner:
        runner = MemoryRunner(next(self._runner_ids), name, scale_set.id)
        scale_set.runners[runner.id] = self.runners[runner.id] = self.runner_names[name] = runner
        return runner

    def remove_runner(self, runner: MemoryRunner) -> None:
        self.scale_sets[runner.scale_set_id].forget(runner)
        self.forget(runner)

    def registration(self, runner_id: int) -> tuple[MemoryRunner, MemoryScaleSet]:
        runner = self.runners.get(runner_id)
        if runner is None:
            raise LookupError(f"runner {runner_id} is not registered")
        return runner, self.scale_sets[runner.scale_set_id]

    def forget(self, runner: MemoryRunner) -> None:
        self.runners.pop(runner.id, None)
        self.runner_names.pop(runner.name, None)

    def new_session(self, owner: str) -> MemorySession:
        return MemorySession(f"session-{self.number()}", owner, self.new_token())

    def new_token(self) -> str:
        return f"queue-token-{self.number()}"

    def number(self) -> int:
        return next(self._numbers)
