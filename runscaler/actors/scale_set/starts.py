"""How long runners take from the demand to their job, by phase (docs/metrics.md, *The phases of a start*).

The slot's actor measures until the resource runs; when GitHub shows the runner, and when it gets its job, is
heard here. Adopted runners have no phases: their start is another process's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import fields, replace
from statistics import median
from typing import TYPE_CHECKING

from runscaler.github.messages import JobStarted
from runscaler.metrics.own import IDLE_SECONDS, PHASES, REACTION, START_SECONDS
from runscaler.policy.anomalies import ONLINE_SECONDS
from runscaler.status import NO_PHASES, StartPhases

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.messages import RunnerUp
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.github.messages import JobEvent, Statistics
    from runscaler.names import Generation, SlotNumber

REMEMBERED_STARTS = 50
_PHASES = tuple(one.name for one in fields(StartPhases))


class Starts:
    def __init__(self, context: ScaleSetContext, book: SlotBook) -> None:
        self._context, self._book = context, book
        self._latest: dict[str, deque[float]] = {name: deque(maxlen=REMEMBERED_STARTS) for name in _PHASES}
        self._typical: StartPhases | None = NO_PHASES
        """None: to be found anew."""
        self._unseen: dict[SlotNumber, Generation] = {}
        """Runners that are up and that GitHub has not shown yet."""

    def up(self, slot: Slot, report: RunnerUp) -> None:
        """Its resource runs."""
        if slot.resource is not report.resource or slot.phases is not NO_PHASES:
            return
        self._book.note_phases(slot, report.phases)
        for name in _PHASES:
            self._took(name, getattr(report.phases, name))
        self._context.actors.metrics.observe(REACTION, report.reaction, self._context.settings.backend)
        self._unseen[slot.number] = slot.generation

    def counted(self, statistics: Statistics | None) -> None:
        """GitHub's counts show all our idle runners, if they count as many."""
        if self._unseen and statistics and statistics.idle >= self._book.counts().idle > 0:
            for slot in self._waiting():
                self.registered(slot)

    def registered(self, slot: Slot) -> None:
        """GitHub shows it as connected."""
        if self._unseen.get(slot.number) != slot.generation:
            return
        del self._unseen[slot.number]
        seconds = self._since_up(slot)
        self._book.note_phases(slot, replace(slot.phases, register=seconds))
        self._took("register", seconds)
        self._observe("total", slot.phases.up + seconds)

    def jobs_told(self, batch: Iterable[JobEvent]) -> None:
        """Jobs of this batch have been given to the runners in the slots."""
        for one in batch:
            slot = self._book.of_runner(one.runner_name) if isinstance(one, JobStarted) else None
            if slot is not None and slot.phases is not NO_PHASES and slot.phases.job is None:
                self.registered(slot)
                seconds = self._since_up(slot)
                self._book.note_phases(slot, replace(slot.phases, job=seconds))
                self._took("job", seconds)
                self._context.metrics.observe(IDLE_SECONDS, seconds)

    def give_up_waiting(self) -> None:
        """GitHub has not shown them for so long that the time of a later word would tell nothing."""
        late = self._context.clock.monotonic() - ONLINE_SECONDS
        for slot in self._waiting():
            if slot.started_at <= late:
                del self._unseen[slot.number]
                self._observe("total", slot.phases.up)

    def typical(self) -> StartPhases:
        """The median of each phase over the latest starts."""
        if self._typical is None:
            self._typical = StartPhases(**{name: median(seen) for name, seen in self._latest.items() if seen})
        return self._typical

    def _waiting(self) -> list[Slot]:
        """Those that hold their runner still; the others are forgotten."""
        slots = [self._book.of_generation(number, one) for number, one in self._unseen.items()]
        held = [slot for slot in slots if slot is not None and slot.resource is not None]
        self._unseen = {slot.number: slot.generation for slot in held}
        return held

    def _since_up(self, slot: Slot) -> float:
        return max(0.0, self._context.clock.monotonic() - slot.started_at)

    def _took(self, phase: str, seconds: float | None) -> None:
        if seconds is not None:
            self._latest[phase].append(seconds)
            self._typical = None
            if phase in PHASES:
                self._observe(phase, seconds)

    def _observe(self, phase: str, seconds: float) -> None:
        self._context.metrics.observe(START_SECONDS, seconds, phase)
