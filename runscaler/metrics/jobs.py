"""The job metrics of a scale set, whose label values are GitHub's texts: cut, and bounded in number.

A job name costs about a hundred series, and a workflow can make names without end.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.metrics.arc import job_families
from runscaler.metrics.series import CounterSeries, HistogramSeries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.metrics.family import Family
    from runscaler.metrics.options import MetricsOptions
    from runscaler.metrics.series import Labels

MOST_LETTERS = 120
OTHER = "_other"
"""The job name under which everything beyond the bound is counted."""
_WORKFLOWS = "/.github/workflows/"


@dataclass(frozen=True, slots=True)
class JobWords:
    """GitHub's texts about a job, as sent."""

    organization: str = ""
    repository: str = ""
    job_name: str = ""
    event_name: str = ""
    job_result: str = ""
    workflow_ref: str = ""

    def labels(self, enterprise: str) -> dict[str, str]:
        """The value of each label that may be asked for."""
        workflow, target = workflow_parts(self.workflow_ref)
        values = {
            "enterprise": enterprise,
            "organization": self.organization,
            "repository": self.repository,
            "job_name": self.job_name,
            "event_name": self.event_name,
            "job_result": self.job_result,
            "job_workflow_ref": self.workflow_ref,
            "job_workflow_name": workflow,
            "job_workflow_target": target,
        }
        return {name: bounded(value) for name, value in values.items()}


def bounded(text: str) -> str:
    """A label value: printable, at most 120 letters."""
    shown = "".join(one if one.isprintable() else "�" for one in text[: MOST_LETTERS + 1])
    return shown if len(shown) <= MOST_LETTERS else shown[:MOST_LETTERS] + "…"


def workflow_parts(reference: str) -> tuple[str, str]:
    """Name and target of `owner/repo/.github/workflows/FILE@refs/TARGET`: ("ci", "heads/main"); empty where
    it is not of that form."""
    path, _, target = reference.partition("@refs/")
    file = path.partition(_WORKFLOWS)[2]
    if not target or not file:
        return "", ""
    return file.removesuffix(".yml").removesuffix(".yaml"), target


class SeriesBudget:
    """How many label sets each family of jobs may still have, in all scale sets together. Thread-safe."""

    def __init__(self, limit: int, folded: CounterSeries) -> None:
        self._limit, self._folded = limit, folded
        self._used: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, family: Family) -> bool:
        """Room for one more?"""
        with self._lock:
            used = self._used.get(family.name, 0)
            if used < self._limit:
                self._used[family.name] = used + 1
                return True
        return False

    def fold(self, family: Family) -> None:
        """One observation goes under `_other`."""
        self._folded.count((family.name,))

    def give_back(self, family: Family, count: int) -> None:
        with self._lock:
            self._used[family.name] = max(0, self._used.get(family.name, 0) - count)


class JobSeries:
    """The four families of jobs, for one scale set, or for all where nothing tells them apart."""

    def __init__(self, options: MetricsOptions, budget: SeriesBudget) -> None:
        self._budget = budget
        started, completed, startup, execution = job_families(options.job_labels, options.job_buckets)
        self.started, self.completed = CounterSeries(started), CounterSeries(completed)
        self.startup, self.execution = HistogramSeries(startup), HistogramSeries(execution)
        self.all: tuple[CounterSeries | HistogramSeries, ...] = (
            self.started,
            self.completed,
            self.startup,
            self.execution,
        )

    def job_started(self, values: Mapping[str, str], seconds: float | None) -> None:
        """`seconds` from the assignment to the runner; None: GitHub did not tell both times."""
        self.started.count(self._labels(self.started, values))
        if seconds is not None:
            self.startup.observe(self._labels(self.startup, values), _whole(seconds))

    def job_completed(self, values: Mapping[str, str], seconds: float | None) -> None:
        """`seconds` from the runner to the end."""
        self.completed.count(self._labels(self.completed, values))
        if seconds is not None:
            self.execution.observe(self._labels(self.execution, values), _whole(seconds))

    def give_back(self) -> None:
        """The scale set is gone, and its series with it."""
        for series in self.all:
            self._budget.give_back(series.family, len(series))

    def _labels(self, series: CounterSeries | HistogramSeries, values: Mapping[str, str]) -> Labels:
        names = [one.name for one in series.family.labels]
        labels = tuple(values[name] for name in names)
        if labels in series or self._budget.take(series.family):
            return labels
        self._budget.fold(series.family)
        return tuple(OTHER if name == "job_name" else "" for name in names)


def _whole(seconds: float) -> int:
    return max(0, int(seconds))
