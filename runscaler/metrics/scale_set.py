"""What is counted for one scale set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.metrics.family import Kind
from runscaler.metrics.own import FAMILIES
from runscaler.metrics.series import CounterSeries, HistogramSeries

if TYPE_CHECKING:
    from runscaler.metrics.family import Family
    from runscaler.metrics.jobs import JobSeries, JobWords

REMEMBERED_EVENTS = 4096


class ScaleSetMetrics:
    """Thread-safe, but for `is_new`, which its scale set's actor alone calls.

    `jobs` may be shared with other scale sets. The metrics outlive an actor that crashes, and go on.
    """

    def __init__(self, enterprise: str, jobs: JobSeries) -> None:
        self._enterprise, self.jobs = enterprise, jobs
        counted = [one for one in FAMILIES if one.of_scale_set]
        self.counters = {one: CounterSeries(one) for one in counted if one.kind is Kind.COUNTER}
        self.histograms = {one: HistogramSeries(one) for one in counted if one.kind is Kind.HISTOGRAM}
        self.all_series: tuple[CounterSeries | HistogramSeries, ...] = (
            *self.counters.values(),
            *self.histograms.values(),
        )
        self._seen: dict[object, None] = {}
        """What has been counted, oldest first."""

    def count(self, family: Family, *labels: str, by: float = 1) -> None:
        self.counters[family].count(tuple(map(str, labels)), by)

    def observe(self, family: Family, seconds: float, *labels: str) -> None:
        self.histograms[family].observe(tuple(map(str, labels)), max(0.0, seconds))

    def is_new(self, event: object) -> bool:
        """Whether this event was not counted before, as far as is remembered: messages come twice."""
        if event in self._seen:
            return False
        self._seen[event] = None
        if len(self._seen) > REMEMBERED_EVENTS:
            del self._seen[next(iter(self._seen))]
        return True

    def job_started(self, words: JobWords, seconds: float | None) -> None:
        self.jobs.job_started(words.labels(self._enterprise), seconds)

    def job_completed(self, words: JobWords, seconds: float | None) -> None:
        self.jobs.job_completed(words.labels(self._enterprise), seconds)
