"""Runner registrations (docs/protocol.md § 4.6, 8.4, 9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.records import Runner, RunnerState
from runscaler.simulator.refusals import ServiceRefusal

if TYPE_CHECKING:
    from runscaler.simulator.records import ScaleSet
    from runscaler.simulator.store import Store

FIRST_ID = 1024


class Runners:
    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, scale_set: ScaleSet, name: str, work_folder: str, *, repeated: bool) -> Runner:
        """Register a runner for a JIT configuration; it is offline until its agent connects."""
        self._check_free(scale_set.scope, name, repeated=repeated)
        runner = Runner(
            FIRST_ID + len(self._store.runners),
            name,
            scale_set,
            client_id=self._store.uuid(),
            secret=self._store.random.randbytes(16).hex(),
            work_folder=work_folder or "_work",
            created_at=self._store.clock.wall(),
            seen=self._store.clock.monotonic(),
        )
        self._store.add_runner(runner)
        self.schedule_expiry(runner)
        return runner

    def get(self, scope: str, number: int) -> Runner:
        runner = self._store.runners.get(number)
        if runner is None or runner.scale_set.scope != scope or runner.state is RunnerState.GONE:
            raise ServiceRefusal(404, "TaskAgentNotFoundException", f"Agent {number} was not found.")
        return runner

    def find(self, scope: str, name: str) -> list[Runner]:
        runner = self._store.names.get((scope, name.lower()))
        return [runner] if runner is not None else []

    def all(self, scope: str) -> list[Runner]:
        return [runner for (of, _), runner in self._store.names.items() if of == scope]

    def remove(self, scope: str, number: int) -> None:
        """Remove a runner; idempotent. Refused once it was offered a job, even before it starts that
        (docs/protocol.md § 4.4)."""
        runner = self._store.runners.get(number)
        if runner is None or runner.scale_set.scope != scope or runner.state is RunnerState.GONE:
            return
        if runner.job is not None:
            text = f"The agent {runner.name} is running a job and cannot be removed."
            raise ServiceRefusal(400, "TaskAgentJobStillRunningException", text)
        self.deregister(runner)

    def deregister(self, runner: Runner) -> None:
        """Remove the registration; the agent learns of it from its next poll."""
        self._store.move_runner(runner, RunnerState.GONE)
        self._store.wake_runner(runner)

    def schedule_expiry(self, runner: Runner) -> None:
        """Remove an offline or unused registration once its agent has been silent for a day."""
        left = runner.seen + self._store.timers.registration - self._store.clock.monotonic()
        self._store.deadlines.after(left, lambda: self._check(runner))

    def _check(self, runner: Runner) -> None:
        if runner.state not in (RunnerState.REGISTERED, RunnerState.OFFLINE):
            return
        if runner.seen + self._store.timers.registration > self._store.clock.monotonic():
            self.schedule_expiry(runner)
        else:
            self.deregister(runner)

    def _check_free(self, scope: str, name: str, *, repeated: bool) -> None:
        if (scope, name.lower()) not in self._store.names:
            return
        if not repeated:
            self._store.violations.record(9, f"runner {name} was registered twice")
        raise ServiceRefusal(409, "TaskAgentExistsException", f"Agent {name} already exists in pool 0.")
