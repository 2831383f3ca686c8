"""Playing a scenario: waits for the trigger of each step, runs its actions, reports, and sums up at the end.

The times of the steps are deadlines of the machine. The actions run on a thread of the player's own,
because faults take the machine's lock themselves.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from runscaler.simulator.scenarios.executor import ActionExecutor, listening
from runscaler.simulator.scenarios.plan import SetFault, Trigger, arrivals, scaled_steps, time_scale
from runscaler.simulator.scenarios.result import evaluate, unfinished
from runscaler.simulator.scenarios.workload import Workload
from runscaler.threads import keep_running

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from runscaler.simulator.faults.registry import FaultRegistry
    from runscaler.simulator.faults.row import Fault
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.scenarios.plan import Scenario, ScenarioStep
    from runscaler.simulator.scenarios.result import ScenarioResult

FOREVER = 86400.0


@dataclass(frozen=True, slots=True)
class ScenarioEvent:
    """`at` is in seconds since the first client polled."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scenario has got; `events` have happened, `pending` are the texts of the steps to come."""

    scenario: Scenario
    events: tuple[ScenarioEvent, ...]
    pending: tuple[str, ...]
    finished: bool
    """All steps have run, and all faults with a duration have been removed."""


class Player:
    """`on_event` and `on_result` are called on the player's thread, without the machine's lock.

    `arm` needs the lock to be held; `run_due` may be called from one thread at a time.
    """

    def __init__(
        self,
        scenario: Scenario,
        lock: MachineLock,
        faults: FaultRegistry,
        *,
        jobs: int = 0,
        seed: int | None = None,
        on_event: Callable[[ScenarioEvent], None] = lambda _: None,
        on_result: Callable[[ScenarioResult], None] = lambda _: None,
    ) -> None:
        self.scenario = scenario
        self.seed = scenario.seed if seed is None else seed
        self._lock, self._on_event, self._on_result = lock, on_event, on_result
        self._store = lock.machine.store
        self._executor = ActionExecutor(lock, faults)
        scale = time_scale(self._store.timers)
        self._steps = deque(scaled_steps(scenario, self.seed, scale))
        self._workload = Workload(lock.machine, arrivals(scenario, jobs, self.seed, scale))
        self._began: float | None = None
        self._armed_step: ScenarioStep | None = None
        self._lasting = 0
        self._due: deque[Callable[[], None]] = deque()
        self._events: list[ScenarioEvent] = []
        self._thread: threading.Thread | None = None

    # -- from outside -------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = keep_running(self._play, "simulator-scenario")

    def join(self) -> None:
        """Wait for the thread, which ends when the machine's lock is closed."""
        if self._thread is not None:
            self._thread.join()

    @property
    def finished(self) -> bool:
        """All steps have run; jobs may still be arriving or running."""
        return not (self._steps or self._armed_step or self._due or self._lasting)

    def progress(self) -> Progress:
        return Progress(self.scenario, tuple(self._events), self._pending(), self.finished)

    def result(self) -> ScenarioResult:
        with self._lock:
            return evaluate(self.scenario.name, self._store, self._pending())

    # -- playing ------------------------------------------------------------------------------------

    def set_timer(self) -> bool:
        """Set the timer of the next step once its trigger has come. True if there is something for
        `run_due` to do, or nothing left at all."""
        if self._began is None and listening(self._store):
            self._begin()
        if self._began is not None and self._armed_step is None and self._steps and self._triggered():
            step = self._armed_step = self._steps.popleft()
            self._later(step.after, partial(self._run_step, step))
        return bool(self._due) or self.finished

    def run_due(self) -> None:
        while self._due:
            self._due.popleft()()
            with self._lock:
                self._store.note("scenario", name=self.scenario.name, over=self.finished)

    def _play(self) -> None:
        while not self.finished and not self._lock.closed:
            if self._lock.watch(self.set_timer, FOREVER):
                self.run_due()
        if self.scenario.quiet:
            with self._lock:
                self._start_workload()
        if self._lock.watch(self._all_jobs_ended, FOREVER):
            self._on_result(self.result())

    def _begin(self) -> None:
        self._began = self._store.clock.monotonic()
        names = ", ".join(one.name for one in listening(self._store))
        self._due.append(lambda: self._report(f"{names} is listening"))
        if not self.scenario.quiet:
            self._start_workload()

    def _start_workload(self) -> None:
        for first in list(self._store.scale_sets.values())[:1]:
            self._workload.begin(first)

    def _triggered(self) -> bool:
        match self._steps[0].trigger:
            case Trigger.LISTENING:
                return bool(listening(self._store))
            case Trigger.IDLE:
                return any(one.ready for one in self._store.scale_sets.values())
            case Trigger.EXHAUSTED:
                return self._executor.exhausted()
            case Trigger.NONE:
                return True

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._store.deadlines.after(seconds, partial(self._is_due, act))

    def _is_due(self, act: Callable[[], None]) -> None:
        self._due.append(act)
        self._store.note("scenario", name=self.scenario.name, over=False)

    def _run_step(self, step: ScenarioStep) -> None:
        for action in step.actions:
            faults = self._executor.run(action)
            if isinstance(action, SetFault) and action.lasts is not None:
                self._remove_later(faults, action.lasts, step.text)
        self._report(step.text)
        self._armed_step = None

    def _remove_later(self, faults: list[Fault], seconds: float, text: str) -> None:
        def remove() -> None:
            self._executor.remove(faults)
            self._lasting -= 1
            self._report(f"ended: {text}")

        self._lasting += 1
        with self._lock:
            self._later(seconds, remove)

    def _report(self, text: str) -> None:
        assert self._began is not None
        event = ScenarioEvent(self._store.clock.monotonic() - self._began, text)
        self._events.append(event)
        self._on_event(event)

    def _pending(self) -> tuple[str, ...]:
        armed = [self._armed_step] if self._armed_step else []
        return tuple(step.text for step in (*armed, *self._steps))

    def _all_jobs_ended(self) -> bool:
        return not (self._workload.pending or unfinished(self._store))
