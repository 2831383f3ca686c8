"""A backend whose runners are entries in a table: for tests and benchmarks, and the shortest example.

`MemoryEngine` stands in for an engine and outlives the backends on it, as a Docker engine outlives
daemons: a second `MemoryBackend` with the same owner adopts the resources of the first, one with another
owner does not see them. There are no threads: observations are reported on the thread that causes them.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from runscaler.backends.base import (
    BackendAvailable,
    BackendUnavailable,
    Ending,
    Resource,
    ResourceEnded,
    ResourceState,
    StartStep,
)
from runscaler.errors import BackendDown, BackendError, StartFailed
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.backends.base import BackendContext, Observation, Progress, RunnerOrder, Sweep
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.findings import Finding
    from runscaler.names import ScaleSetKey

Call = Literal["check", "prepare", "start", "remove", "inventory", "logs", "runs_a_job"]
"""The calls that a test can make fail or block."""

TEST_OWNER = OwnerId("0" * 32)


class Gate:
    """Holds calls back. `entered` is set when one waits at it; `release` opens it for good."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._changed = threading.Condition()
        self._open = False

    def release(self) -> None:
        self._open = True
        self._wake()

    def wait(self, interrupt: Interrupt) -> None:
        with interrupt.cancelling(self._wake), self._changed:
            self.entered.set()
            self._changed.wait_for(lambda: self._open or interrupt.is_set())
        interrupt.wait(0)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class MemoryEngine:
    """The table of resources, with what a test can look up and do. Thread-safe."""

    def __init__(self) -> None:
        self.jobs_running: set[str] = set()
        """Ids of the resources in which a job runs."""
        self.terminated: dict[str, float] = {}
        """Ids of the running resources that got SIGTERM, with the seconds until their kill."""
        self.peak = 0
        """The most resources that ran at once; `peaks` has the same for each scale set."""
        self.peaks: Counter[ScaleSetKey] = Counter()
        self.starts = 0
        self._lock = threading.Lock()
        self._resources: dict[str, Resource] = {}
        self._output: dict[str, bytes] = {}
        self._running: Counter[ScaleSetKey] = Counter()
        self._watchers: dict[MemoryWatch, OwnerId] = {}
        self._down: BackendUnavailable | None = None

    def resources(self, owner: OwnerId) -> list[Resource]:
        self.answer()
        with self._lock:
            return [resource for resource in self._resources.values() if resource.owner == owner]

    def find(self, resource_id: str) -> Resource | None:
        with self._lock:
            return self._resources.get(resource_id)

    def add(self, resource: Resource) -> None:
        """Add a running resource. Raises `StartFailed` if its id is taken."""
        with self._lock:
            if resource.id in self._resources:
                raise StartFailed(f"cannot start {resource.id}: a resource of that name exists")
            self._resources[resource.id] = resource
            self.starts += 1
            self._running[resource.key] += 1
            self.peak = max(self.peak, self._running.total())
            self.peaks[resource.key] = max(self.peaks[resource.key], self._running[resource.key])

    def discard(self, resource_id: str) -> Resource | None:
        """Remove it without telling watchers; None if it is not there."""
        with self._lock:
            resource = self._resources.pop(resource_id, None)
            self._output.pop(resource_id, None)
            self.jobs_running.discard(resource_id)
            if resource is not None and resource.state is ResourceState.RUNNING:
                self._running[resource.key] -= 1
            return resource

    def end(self, resource_id: str, ending: Ending) -> None:
        """Its main process ends, and watchers are told. Does nothing if it does not run."""
        with self._lock:
            resource = self._resources.get(resource_id)
            if resource is None or resource.state is ResourceState.ENDED:
                return
            self._resources[resource_id] = replace(resource, state=ResourceState.ENDED, ending=ending)
            self._running[resource.key] -= 1
            self.jobs_running.discard(resource_id)
        self._tell(ResourceEnded(resource_id, ending, resource.key), resource.owner)

    def vanish(self, resource_id: str) -> None:
        """Somebody else removes it, and watchers are told that it is gone."""
        resource = self.discard(resource_id)
        if resource is not None:
            self._tell(ResourceEnded(resource_id, None, resource.key), resource.owner)

    def spoil(self, resource_id: str, why: str) -> None:
        """Jobs would fail on it from now on."""
        with self._lock:
            self._resources[resource_id] = replace(self._resources[resource_id], unfit=why)

    def outdate(self, resource_id: str, why: str) -> None:
        """A new one would be better from now on, although jobs run on it."""
        with self._lock:
            self._resources[resource_id] = replace(self._resources[resource_id], outdated=why)

    def write(self, resource_id: str, output: bytes) -> None:
        """The runner prints this."""
        with self._lock:
            self._output[resource_id] = self._output.get(resource_id, b"") + output

    def output(self, resource_id: str, tail: int) -> bytes:
        self.answer()
        with self._lock:
            output = self._output.get(resource_id, b"")
        return output[-tail:] if tail > 0 else b""

    def down(self, reason: str) -> None:
        """Stop answering until `up`. Watchers are told once."""
        with self._lock:
            known, self._down = self._down, BackendUnavailable(reason)
        if known is None:
            self._tell(BackendUnavailable(reason))

    def up(self) -> None:
        """Answer again, and tell watchers."""
        with self._lock:
            known, self._down = self._down, None
        if known is not None:
            self._tell(BackendAvailable())

    def answer(self) -> None:
        """Raises `BackendDown` while it is down."""
        if self._down is not None:
            raise BackendDown(self._down.reason)

    def watch(self, owner: OwnerId, report: Callable[[Observation], None]) -> MemoryWatch:
        watch = MemoryWatch(self, report)
        with self._lock:
            self._watchers[watch] = owner
            first = self._down or BackendAvailable()
        report(first)
        return watch

    def unwatch(self, watch: MemoryWatch) -> None:
        with self._lock:
            self._watchers.pop(watch, None)

    def _tell(self, observation: Observation, owner: OwnerId | None = None) -> None:
        with self._lock:
            told = [watch for watch, theirs in self._watchers.items() if owner in (None, theirs)]
        for watch in told:
            watch.report(observation)


class MemoryWatch:
    """A subscription to what happens in the engine."""

    def __init__(self, engine: MemoryEngine, report: Callable[[Observation], None]) -> None:
        self.report = report
        self._engine = engine

    def stop(self) -> None:
        self._engine.unwatch(self)


class MemoryBackend:
    """A backend on a `MemoryEngine`.

    `on_start` is called with each started resource, on the thread of `start` just before it returns, so
    that a test can act as the runner; `on_terminate` with each one that gets SIGTERM, by which it may end the
    runner. Without it a runner dies of SIGTERM at once. `latency` is how long `start` and `remove` take, in
    seconds of the clock. `findings` is what `check` returns.
    """

    name = "memory"

    def __init__(
        self,
        clock: Clock,
        *,
        owner: OwnerId = TEST_OWNER,
        engine: MemoryEngine | None = None,
        on_start: Callable[[Resource], None] | None = None,
        on_terminate: Callable[[Resource], None] | None = None,
        latency: float = 0.0,
    ) -> None:
        self.engine = engine or MemoryEngine()
        self.on_start = on_start
        self.on_terminate = on_terminate
        self.latency = latency
        self.findings: list[Finding] = []
        self._clock = clock
        self._owner = owner
        self._failures: defaultdict[Call, deque[Exception]] = defaultdict(deque)
        self._gates: dict[Call, Gate] = {}

    def fail_next(self, call: Call, error: Exception) -> None:
        """The next such call raises `error`. Several errors are raised one after another."""
        self._failures[call].append(error)

    def block(self, call: Call) -> Gate:
        """Such calls wait until the gate is released, or until they are interrupted."""
        return self._gates.setdefault(call, Gate())

    def end(
        self,
        resource_id: str,
        exit_code: int | None = 0,
        signal: int | None = None,
        out_of_memory: bool = False,
    ) -> None:
        """The runner ends by itself."""
        self.engine.end(resource_id, Ending(exit_code, signal, out_of_memory, self._clock.wall()))

    def check(self, settings: ScaleSetSettings) -> list[Finding]:
        self._enter("check")
        return list(self.findings)

    def prepare(self, settings: ScaleSetSettings, progress: Progress, interrupt: Interrupt) -> None:
        self._enter("prepare", interrupt)

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        self._enter("start", interrupt)
        self._take_time(interrupt, order.deadline)
        runner_id = order.jit().runner_id
        interrupt.wait(0)
        resource = self._resource(order, runner_id)
        self.engine.add(resource)
        order.reached(StartStep.CREATED)
        with ExitStack() as undo:
            undo.callback(self.engine.discard, resource.id)
            if self.on_start is not None:
                self.on_start(resource)
            undo.pop_all()
        return resource

    def remove(self, resource: Resource, *, force: bool, interrupt: Interrupt, grace: float = 0.0) -> None:
        self._enter("remove", interrupt)
        self._take_time(interrupt)
        found = self.engine.find(resource.id)
        if found is None or found.owner != self._owner:
            return
        if found.state is ResourceState.RUNNING and not force:
            raise BackendError(f"{resource.id} still runs: it is removed by force only")
        if found.state is ResourceState.RUNNING and grace:
            self._terminate(found, grace, interrupt)
        self.engine.discard(resource.id)

    def _terminate(self, resource: Resource, grace: float, interrupt: Interrupt) -> None:
        self.engine.terminated[resource.id] = grace
        if self.on_terminate is None:
            return
        self.on_terminate(resource)
        left = self.engine.find(resource.id)
        if left is not None and left.state is ResourceState.RUNNING:
            self._clock.pause(grace, interrupt)

    def inventory(self) -> list[Resource]:
        self._enter("inventory")
        return self.engine.resources(self._owner)

    def logs(self, resource: Resource, tail: int, interrupt: Interrupt) -> bytes:
        self._enter("logs", interrupt)
        return self.engine.output(resource.id, tail)

    def runs_a_job(self, resource: Resource, interrupt: Interrupt) -> bool | None:
        self._enter("runs_a_job", interrupt)
        return resource.id in self.engine.jobs_running

    def watch(self, since: float, report: Callable[[Observation], None]) -> MemoryWatch:
        return self.engine.watch(self._owner, report)

    def sweeps(self, settings: Sequence[ScaleSetSettings]) -> list[Sweep]:
        return []

    def close(self) -> None:
        """There is nothing to close."""

    def _enter(self, call: Call, interrupt: Interrupt | None = None) -> None:
        interrupt = interrupt or Interrupt()
        interrupt.wait(0)
        if (gate := self._gates.get(call)) is not None:
            gate.wait(interrupt)
        if failures := self._failures[call]:
            raise failures.popleft()
        self.engine.answer()

    def _take_time(self, interrupt: Interrupt, deadline: float = float("inf")) -> None:
        left = deadline - self._clock.monotonic()
        if self.latency > 0:
            self._clock.pause(max(0.0, min(self.latency, left)), interrupt)
        if self.latency >= left:
            raise StartFailed("the runner did not run in time")

    def _resource(self, order: RunnerOrder, runner_id: int) -> Resource:
        return Resource(
            id=f"memory-{order.runner}",
            owner=self._owner,
            key=order.key,
            slot=order.slot,
            runner=order.runner,
            runner_id=runner_id,
            created_at=self._clock.wall(),
        )


class MemoryBackendFactory:
    """Makes backends on one engine. Tests pass their own, or use that of `factory`."""

    def __init__(self, engine: MemoryEngine | None = None) -> None:
        self.engine = engine or MemoryEngine()

    def location(self, settings: ScaleSetSettings) -> str:
        return "memory"

    def create(self, settings: ScaleSetSettings, context: BackendContext) -> MemoryBackend:
        return MemoryBackend(context.clock, owner=context.owner, engine=self.engine)


factory = MemoryBackendFactory()
