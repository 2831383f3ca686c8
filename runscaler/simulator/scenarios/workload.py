"""The jobs that the simulator queues itself during a scenario."""

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


def job_spec_for(scale_set: ScaleSet, name: str, run: str) -> JobSpec:
    """A job with one shell step for this scale set."""
    return JobSpec(
        scale_set.scope,
        (scale_set.name,),
        (Step("step 1", run),),
        display_name=name,
        repository=default_repository(scale_set.scope),
    )


class Workload:
    """Queues a job at each of these times, in seconds after `begin`. The machine's lock must be held."""

    def __init__(self, machine: Machine, times: Sequence[float]) -> None:
        self._machine, self._times = machine, times
        self.pending = len(times)

    def begin(self, scale_set: ScaleSet) -> None:
        for number, time in enumerate(self._times, start=1):
            self._machine.store.deadlines.after(time, partial(self._queue, scale_set, number))

    def _queue(self, scale_set: ScaleSet, number: int) -> None:
        run = STEP.format(number=number, count=len(self._times))
        self._machine.jobs.queue(job_spec_for(scale_set, f"job {number}", run))
        self.pending -= 1
