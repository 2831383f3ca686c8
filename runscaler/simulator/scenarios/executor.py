"""Does what a step of a plan says, and knows which of its faults are set."""

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
from runscaler.simulator.scenarios.workload import order_for
from runscaler.simulator.tokens import TokenKind

if TYPE_CHECKING:
    from runscaler.simulator.faults.registry import FaultRegistry
    from runscaler.simulator.faults.row import Fault
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.records import Job, ScaleSet
    from runscaler.simulator.scenarios.plan import Action
    from runscaler.simulator.store import Store


class ActionExecutor:
    """Takes the lock itself: nothing of it may be called by the lock's holder but `spent`."""

    def __init__(self, lock: MachineLock, faults: FaultRegistry) -> None:
        self._lock, self._registry = lock, faults
        self._set: list[Fault] = []
        self._queued: list[Job] = []

    def do(self, action: Action) -> list[Fault]:
        """Returns the faults that it has set."""
        match action:
            case SetFault():
                return self._strike(action)
            case RemoveFault(fault):
                self.lift([one for one in self._set if one.row.name == fault])
            case ChangeSessions(change):
                self._change_sessions(change)
            case ExpireAdminTokens():
                self._end_admin_tokens()
            case QueueJob(name, run):
                self._queue(name, run)
            case CancelJobs():
                self._cancel()
            case _:
                assert_never(action)
        return []

    def lift(self, faults: list[Fault]) -> None:
        for fault in faults:
            self._registry.remove(fault.id)

    def exhausted(self) -> bool:
        """Has the fault that was set last struck as often as it shall?"""
        return bool(self._set) and self._set[-1].exhausted

    def _strike(self, action: SetFault) -> list[Fault]:
        matches = [action.match]
        if action.each_set:
            matches = [replace(action.match, scale_set=one.name) for one in self._live_sets()]
        made = [
            self._registry.add(action.fault, count=action.count, match=match, params=action.params)
            for match in matches
        ]
        self._set += made
        return made

    def _live_sets(self) -> list[ScaleSet]:
        with self._lock as machine:
            return [one for one in machine.store.scale_sets.values() if one.live]

    def _change_sessions(self, action: str) -> None:
        with self._lock as machine:
            for scale_set in listening(machine.store):
                assert scale_set.session is not None
                change_session(machine, scale_set.session, action)

    def _end_admin_tokens(self) -> None:
        with self._lock as machine:
            machine.store.tokens.expire(TokenKind.ADMIN)

    def _queue(self, name: str, run: str) -> None:
        with self._lock as machine:
            (scale_set, *_) = machine.store.scale_sets.values()
            self._queued += machine.jobs.queue(order_for(scale_set, name, run))

    def _cancel(self) -> None:
        with self._lock as machine:
            for job in self._queued:
                if job.state not in (JobState.RUNNING, JobState.COMPLETED):
                    machine.jobs.cancel(job)


def listening(store: Store) -> list[ScaleSet]:
    """The sets whose session has polled with a capacity above 0."""
    alive = (one for one in store.scale_sets.values() if one.live and one.session)
    return [one for one in alive if one.announced and one.capacity > 0]
