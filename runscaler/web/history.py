"""The last hour in steps of ten seconds: what was asked for, what was there, and what happened."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from runscaler.events import JobCompleted, JobStarted, RunnerFailed, RunnerLost, RunnerStarted

if TYPE_CHECKING:
    from runscaler.events import Event
    from runscaler.status import Status

STEP_SECONDS = 10.0
STEPS = 360
COLUMNS = (
    "at",
    "assigned",
    "busy",
    "runners",
    "max",
    "jobs_started",
    "succeeded",
    "failed",
    "other",
    "runners_started",
    "runners_failed",
    "runners_lost",
)
"""Of a row. `at` is the wall-clock time of the step's end; then what all scale sets together had at that
time, and how often each thing happened in the step. `other` are jobs that ended otherwise, as "canceled"."""
_HAPPENED = COLUMNS[5:]
_RESULTS = {"succeeded": "succeeded", "failed": "failed"}

Row = tuple[float, ...]


class History:
    """`add` is called on one thread, `step` on another; `rows` on any."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_HAPPENED, 0)
        self._rows: deque[Row] = deque(maxlen=STEPS)
        self._lock = threading.Lock()

    def add(self, event: Event) -> None:
        column = _column_of(event)
        if column:
            with self._lock:
                self._counts[column] += 1

    def step(self, status: Status, now: float) -> Row:
        """End a step at `now`, wall-clock seconds; returns its row."""
        sets = status.scale_sets
        with self._lock:
            row = (
                round(now, 1),
                sum(one.assigned_jobs for one in sets),
                sum(one.busy for one in sets),
                sum(one.total for one in sets),
                sum(one.max for one in sets),
                *self._counts.values(),
            )
            self._counts = dict.fromkeys(_HAPPENED, 0)
            self._rows.append(row)
        return row

    def rows(self) -> tuple[Row, ...]:
        with self._lock:
            return tuple(self._rows)


def _column_of(event: Event) -> str:
    match event:
        case JobStarted():
            return "jobs_started"
        case JobCompleted(result=result):
            return _RESULTS.get(result, "other")
        case RunnerStarted():
            return "runners_started"
        case RunnerFailed():
            return "runners_failed"
        case RunnerLost():
            return "runners_lost"
        case _:
            return ""
