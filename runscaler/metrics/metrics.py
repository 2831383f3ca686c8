"""All that a process counts: for each scale set, and for what the scale sets share."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from runscaler.metrics.family import Kind
from runscaler.metrics.jobs import JobSeries, SeriesBudget
from runscaler.metrics.options import MetricsOptions, Scope
from runscaler.metrics.own import FAMILIES, FOLDED, RELOAD_OK, RELOADED_AT
from runscaler.metrics.scale_set import ScaleSetMetrics
from runscaler.metrics.series import CounterSeries, HistogramSeries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runscaler.metrics.family import Family
    from runscaler.metrics.series import Labels
    from runscaler.names import ScaleSetKey


def _no_scope(_url: str) -> Scope:
    return Scope()


class Metrics:
    """Thread-safe. `scope_of` says what the URL of a scale set names."""

    def __init__(
        self,
        options: MetricsOptions | None = None,
        scope_of: Callable[[str], Scope] = _no_scope,
    ) -> None:
        self.options = options or MetricsOptions()
        self.scope_of = scope_of
        own = [one for one in FAMILIES if not one.of_scale_set]
        self.counters = {one: CounterSeries(one) for one in own if one.kind is Kind.COUNTER}
        self.histograms = {one: HistogramSeries(one) for one in own if one.kind is Kind.HISTOGRAM}
        self._gauges: dict[Family, Mapping[Labels, float]] = {}
        self._budget = SeriesBudget(self.options.max_job_series, self.counters[FOLDED])
        self.shared_jobs = None if self.options.arc_labels else JobSeries(self.options, self._budget)
        """The job series of all scale sets, where no label tells these apart."""
        self._lock = threading.Lock()
        self._scale_sets: dict[ScaleSetKey, ScaleSetMetrics] = {}

    def of(self, key: ScaleSetKey, url: str) -> ScaleSetMetrics:
        """Those of one scale set, made when first asked for; `url` as configured."""
        with self._lock:
            found = self._scale_sets.get(key)
            if found is None:
                jobs = self.shared_jobs or JobSeries(self.options, self._budget)
                found = ScaleSetMetrics(self.scope_of(url).enterprise, jobs)
                self._scale_sets = {**self._scale_sets, key: found}
        return found

    def forget(self, key: ScaleSetKey) -> None:
        """The scale set is not configured any more, and has ended."""
        with self._lock:
            found = self._scale_sets.get(key)
            self._scale_sets = {one: its for one, its in self._scale_sets.items() if one != key}
        if found is not None and found.jobs is not self.shared_jobs:
            found.jobs.give_back()

    def count(self, family: Family, *labels: str, by: float = 1) -> None:
        self.counters[family].count(tuple(map(str, labels)), by)

    def observe(self, family: Family, seconds: float, *labels: str) -> None:
        self.histograms[family].observe(tuple(map(str, labels)), max(0.0, seconds))

    def publish(self, family: Family, values: Mapping[Labels, float]) -> None:
        """Replace all samples of a gauge of the process; labels not among them are gone."""
        with self._lock:
            self._gauges = {**self._gauges, family: dict(values)}

    def publish_one(self, family: Family, value: float, *labels: str) -> None:
        """Replace one sample of a gauge of the process."""
        with self._lock:
            known = self._gauges.get(family, {})
            self._gauges = {**self._gauges, family: {**known, tuple(map(str, labels)): value}}

    def config_read(self, at: float | None) -> None:
        """The configuration was read with success at this wall-clock second; None: it could not be."""
        self.publish(RELOAD_OK, {(): int(at is not None)})
        if at is not None:
            self.publish(RELOADED_AT, {(): at})

    def published(self) -> Mapping[Family, Mapping[Labels, float]]:
        return self._gauges
