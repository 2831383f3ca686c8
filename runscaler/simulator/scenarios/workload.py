"""Jobs that the simulator queues itself, so that a fleet has something to do on its bad day."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from runscaler.simulator.records import JobSpec, Step
from runscaler.simulator.scopes import default_repository

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.simulator.machine import Machine
    from runscaler.simulator.records import ScaleSet

STEP = "echo hello from job {number} of {count}; sleep 1"


def order_for(scale_set: ScaleSet, name: str, run: str) -> JobSpec:
    """One job with one shell step, for this set by its name."""
    return JobSpec(
        scale_set.scope,
        (scale_set.name,),
        (Step("step 1", run),),
        display_name=name,
        repository=default_repository(scale_set.scope),
    )


class Workload:
    """A job at each moment, in seconds after `begin`. All of it is for the lock's holder."""

    def __init__(self, machine: Machine, moments: Sequence[float]) -> None:
        self._machine, self._moments = machine, moments
        self.pending = len(moments)

    def begin(self, scale_set: ScaleSet) -> None:
        for number, moment in enumerate(self._moments, start=1):
            self._machine.store.deadlines.after(moment, partial(self._queue, scale_set, number))

    def _queue(self, scale_set: ScaleSet, number: int) -> None:
        run = STEP.format(number=number, count=len(self._moments))
        self._machine.jobs.queue(order_for(scale_set, f"job {number}", run))
        self.pending -= 1
