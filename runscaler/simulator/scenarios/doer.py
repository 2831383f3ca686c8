"""Does what a step of a plan says, and knows which of its faults are set."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from runscaler.simulator.deeds import change_session
from runscaler.simulator.scenarios.plan import (
    CancelJobs,
    EndAdminTokens,
    LiftFault,
    QueueJob,
    SetFault,
    ToSessions,
)
from runscaler.simulator.scenarios.stream import order_for
from runscaler.simulator.things import JobState
from runscaler.simulator.tokens import TokenKind

if TYPE_CHECKING:
    from runscaler.simulator.faults.book import FaultBook
    from runscaler.simulator.faults.row import Fault
    from runscaler.simulator.gate import Gate
    from runscaler.simulator.scenarios.plan import Deed
    from runscaler.simulator.things import Job, ScaleSet
    from runscaler.simulator.world import World


class Doer:
    """Takes the gate itself: nothing of it may be called by the gate's holder but `spent`."""

    def __init__(self, gate: Gate, faults: FaultBook) -> None:
        self._gate, self._book = gate, faults
        self._set: list[Fault] = []
        self._queued: list[Job] = []

    def do(self, deed: Deed) -> list[Fault]:
        """Returns the faults that it has set."""
        match deed:
            case SetFault():
                return self._strike(deed)
            case LiftFault(fault):
                self.lift([one for one in self._set if one.row.name == fault])
            case ToSessions(action):
                self._change_sessions(action)
            case EndAdminTokens():
                self._end_admin_tokens()
            case QueueJob(name, run):
                self._queue(name, run)
            case CancelJobs():
                self._cancel()
            case _:
                assert_never(deed)
        return []

    def lift(self, faults: list[Fault]) -> None:
        for fault in faults:
            self._book.remove(fault.id)

    def spent(self) -> bool:
        """Has the fault that was set last struck as often as it shall?"""
        return bool(self._set) and self._set[-1].spent

    def _strike(self, deed: SetFault) -> list[Fault]:
        matches = [deed.match]
        if deed.each_set:
            matches = [replace(deed.match, scale_set=one.name) for one in self._live_sets()]
        made = [
            self._book.add(deed.fault, count=deed.count, match=match, params=deed.params) for match in matches
        ]
        self._set += made
        return made

    def _live_sets(self) -> list[ScaleSet]:
        with self._gate as machine:
            return [one for one in machine.world.scale_sets.values() if one.live]

    def _change_sessions(self, action: str) -> None:
        with self._gate as machine:
            for scale_set in listening(machine.world):
                assert scale_set.session is not None
                change_session(machine, scale_set.session, action)

    def _end_admin_tokens(self) -> None:
        with self._gate as machine:
            machine.world.tokens.end(TokenKind.ADMIN)

    def _queue(self, name: str, run: str) -> None:
        with self._gate as machine:
            (scale_set, *_) = machine.world.scale_sets.values()
            self._queued += machine.jobs.queue(order_for(scale_set, name, run))

    def _cancel(self) -> None:
        with self._gate as machine:
            for job in self._queued:
                if job.state not in (JobState.RUNNING, JobState.COMPLETED):
                    machine.jobs.cancel(job)


def listening(world: World) -> list[ScaleSet]:
    """The sets whose session has polled with a capacity above 0."""
    alive = (one for one in world.scale_sets.values() if one.live and one.session)
    return [one for one in alive if one.announced and one.capacity > 0]
