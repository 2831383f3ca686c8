"""Running the actions of a scenario's steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from runscaler.simulator.admin_actions import change_session
from runscaler.simulator.records import JobState
from runscaler.simulator.scenarios.plan import (
    CancelJobs,
    ChangeSessions,
    ExpireAdminTokens,
    QueueJob,
    RemoveFault,
    SetFault,
)
from runscaler.simulator.scenarios.workload import job_spec_for
from runscaler.simulator.tokens import TokenKind

if TYPE_CHECKING:
    from runscaler.simulator.faults.registry import FaultRegistry
    from runscaler.simulator.faults.row import Fault
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.records import Job, ScaleSet
    from runscaler.simulator.scenarios.plan import Action
    from runscaler.simulator.store import Store


class ActionExecutor:
    """Takes the machine's lock itself; only `exhausted` may be called with the lock held."""

    def __init__(self, lock: MachineLock, faults: FaultRegistry) -> None:
        self._lock, self._registry = lock, faults
        self._faults: list[Fault] = []
        self._queued: list[Job] = []

    def run(self, action: Action) -> list[Fault]:
        """Returns the faults that the action has set."""
        match action:
            case SetFault():
                return self._set_fault(action)
            case RemoveFault(fault):
                self.remove([one for one in self._faults if one.row.name == fault])
            case ChangeSessions(change):
                self._change_sessions(change)
            case ExpireAdminTokens():
                self._expire_admin_tokens()
            case QueueJob(name, run):
                self._queue(name, run)
            case CancelJobs():
                self._cancel()
            case _:
                assert_never(action)
        return []

    def remove(self, faults: list[Fault]) -> None:
        for fault in faults:
            self._registry.remove(fault.id)

    def exhausted(self) -> bool:
        """Whether the fault that was set last is exhausted."""
        return bool(self._faults) and self._faults[-1].exhausted

    def _set_fault(self, action: SetFault) -> list[Fault]:
        matches = [action.match]
        if action.each_set:
            matches = [replace(action.match, scale_set=one.name) for one in self._live_sets()]
        faults = [
            self._registry.add(action.fault, count=action.count, match=match, params=action.params)
            for match in matches
        ]
        self._faults += faults
        return faults

    def _live_sets(self) -> list[ScaleSet]:
        with self._lock as machine:
            return [one for one in machine.store.scale_sets.values() if one.live]

    def _change_sessions(self, action: str) -> None:
        with self._lock as machine:
            for scale_set in listening(machine.store):
                assert scale_set.session is not None
                change_session(machine, scale_set.session, action)

    def _expire_admin_tokens(self) -> None:
        with self._lock as machine:
            machine.store.tokens.expire(TokenKind.ADMIN)

    def _queue(self, name: str, run: str) -> None:
        with self._lock as machine:
            (scale_set, *_) = machine.store.scale_sets.values()
            self._queued += machine.jobs.queue(job_spec_for(scale_set, name, run))

    def _cancel(self) -> None:
        with self._lock as machine:
            for job in self._queued:
                if job.state not in (JobState.RUNNING, JobState.COMPLETED):
                    machine.jobs.cancel(job)


def listening(store: Store) -> list[ScaleSet]:
    """The scale sets whose session has polled with a capacity above 0."""
    with_session = (one for one in store.scale_sets.values() if one.live and one.session)
    return [one for one in with_session if one.announced and one.capacity > 0]
