"""Runners that are gone but may still be spoken of, and the counts of jobs.

A container's end is seen at once, GitHub's word about its job may come later: until it has come, or
too much time has passed, the runner is remembered here. Messages about a job are counted once,
however often they come.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.names import RunnerName, SlotNumber

_REMEMBERED = 2000


@dataclass(slots=True)
class PastRunner:
    """A runner whose resource has ended. `departed`: with a job whose completion is still to come;
    `unproven`: nobody knows yet whether it ever had a job; `unsettled`: and that for a moment only."""

    slot: SlotNumber
    runner_id: int
    job_id: str = ""
    completed: bool = False
    departed: bool = False
    unproven: bool = False
    unsettled: bool = False
    ordered_at: float = 0.0
    why: str = ""


class Past:
    """The newest 2,000 of them; only the scale set actor's own thread touches it."""

    def __init__(self) -> None:
        self._runners: OrderedDict[RunnerName, PastRunner] = OrderedDict()
        self.departed = self.unsettled = 0

    def add(self, runner: RunnerName, past: PastRunner) -> None:
        self.forget(runner)
        self._runners[runner] = past
        self.departed += past.departed
        self.unsettled += past.unsettled
        if len(self._runners) > _REMEMBERED:
            self.forget(next(iter(self._runners)))

    def forget(self, runner: RunnerName) -> None:
        self.forget_departure(runner)
        self.settle(runner)
        self._runners.pop(runner, None)

    def settle(self, runner: RunnerName) -> bool:
        """Word of its job came, or the moment is over; True where it was unsettled."""
        past = self._runners.get(runner)
        if past is None or not past.unsettled:
            return False
        past.unsettled = False
        self.unsettled -= 1
        return True

    def get(self, runner: RunnerName) -> PastRunner | None:
        return self._runners.get(runner)

    def forget_departure(self, runner: RunnerName) -> bool:
        """Its completion came, or is not waited for any longer; True where it was waited for."""
        past = self._runners.get(runner)
        if past is None or not past.departed:
            return False
        past.departed = False
        self.departed -= 1
        return True


@dataclass(slots=True)
class Tally:
    """Counters of one scale set since the program started."""

    jobs_started: int = 0
    jobs_completed: int = 0
    runners_started: int = 0
    runners_failed: int = 0
