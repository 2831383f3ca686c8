"""Writes everything in Prometheus' text format 0.0.4.

A scrape holds the interpreter while actors want to react, so it must be cheap: the texts of names and labels
are made once, lines are kept while their values are the same, and what a scale set shows is kept
while its snapshot is.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from runscaler.metrics import arc, own
from runscaler.metrics.gauges import (
    aging_samples,
    arc_samples,
    controller_samples,
    own_samples,
)
from runscaler.metrics.identity import identities
from runscaler.metrics.numbers import go_number
from runscaler.metrics.series import in_braces, label_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from runscaler.metrics.family import Family
    from runscaler.metrics.gauges import Sample
    from runscaler.metrics.metrics import Metrics
    from runscaler.metrics.options import Scope
    from runscaler.metrics.series import CounterSeries, HistogramSeries, Labels
    from runscaler.names import ScaleSetKey
    from runscaler.status import ScaleSetStatus, Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Texts = defaultdict[str, list[str]]
"""The lines of each family, by its name."""


class _Lines:
    """Lines of gauges, each kept while its value is the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[Family, Labels], tuple[str, float, str]] = {}

    def line(self, family: Family, labels: Labels, value: float, constant: str) -> str:
        key = family, labels
        known = self._known.get(key)
        if known is None:
            names = [one.name for one in family.labels]
            prefix = f"{family.name}{in_braces(constant, label_text(names, labels))} "
        elif known[1] == value:
            return known[2]
        else:
            prefix = known[0]
        line = f"{prefix}{go_number(value)}\n"
        self._known[key] = prefix, value, line
        return line


class _ScaleSetView:
    """What one scale set shows, under one name."""

    def __init__(self, identity: str, scope: Scope, namespace: str, *, arc_labels: bool) -> None:
        self.identity = identity
        self._lines = _Lines()
        self.own = label_text(("scale_set",), (identity,))
        place = (scope.repository, scope.organization, scope.enterprise)
        self._controller = label_text(
            ("name", "namespace", "repository", "organization", "enterprise"), (identity, namespace, *place)
        )
        both = label_text(
            ("actions_github_com_scale_set_name", "actions_github_com_scale_set_namespace"),
            (identity, namespace),
        )
        self.jobs = both if arc_labels else ""
        self._arc = f"{self._controller},{both}" if arc_labels else self._controller
        self._shown: tuple[ScaleSetStatus | None, list[tuple[str, str]]] = (None, [])

    def gauges(self, status: ScaleSetStatus, now: float) -> list[tuple[str, str]]:
        """The lines of its gauges."""
        known, lines = self._shown
        if known is not status or status.jobs_wait:  # then time alone may change something
            lines = self._gauges(status, now)
            self._shown = status, lines
        return [*lines, *self._own_lines(aging_samples(status, now))]

    def _gauges(self, status: ScaleSetStatus, now: float) -> list[tuple[str, str]]:
        line = self._lines.line
        return [
            *((family.name, line(family, (), value, self._arc)) for family, value in arc_samples(status)),
            *(
                (family.name, line(family, (), value, self._controller))
                for family, value in controller_samples(status)
            ),
            *self._own_lines(own_samples(status, now)),
        ]

    def _own_lines(self, samples: Iterable[Sample]) -> Iterator[tuple[str, str]]:
        for family, labels, value in samples:
            yield family.name, self._lines.line(family, labels, value, self.own)


class Exposition:
    """For one reader at a time."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics, self._options = metrics, metrics.options
        jobs = arc.job_families(self._options.job_labels, self._options.job_buckets)
        families = (*arc.GAUGES, *jobs, *arc.CONTROLLER, *own.FAMILIES)
        self._headers = {one.name: one.header for one in families if one.name not in self._options.disable}
        self._lines = _Lines()
        self._views: dict[ScaleSetKey, _ScaleSetView] = {}

    def text(self, status: Status, now: float, gauges: Mapping[Family, Mapping[Labels, float]]) -> str:
        """`gauges` are those of the process that nobody publishes; `now` is in wall-clock seconds."""
        texts: _Texts = defaultdict(list)
        scale_sets = {one.key: one for one in status.scale_sets}
        if scale_sets.keys() != self._views.keys():
            self._make_views(scale_sets)
        for key, one in scale_sets.items():
            self._add_scale_set(texts, key, one, now)
        if (shared := self._metrics.shared_jobs) is not None:
            _add_series(texts, shared.all, "")
        _add_series(texts, self._metrics.counters.values(), "")
        _add_series(texts, self._metrics.histograms.values(), "")
        for values in (gauges, self._metrics.published()):
            self._add_gauges(texts, values)
        return "".join(
            [header + "".join(texts[name]) for name, header in self._headers.items() if name in texts]
        )

    def _make_views(self, scale_sets: Mapping[ScaleSetKey, ScaleSetStatus]) -> None:
        """Anew only where the name or the set is new."""
        known, options = self._views, self._options
        self._views = {}
        for key, identity in identities(scale_sets, self._metrics.scope_of).items():
            view = known.get(key)
            if view is None or view.identity != identity:
                scope = self._metrics.scope_of(scale_sets[key].url)
                view = _ScaleSetView(identity, scope, options.namespace, arc_labels=options.arc_labels)
            self._views[key] = view

    def _add_scale_set(self, texts: _Texts, key: ScaleSetKey, status: ScaleSetStatus, now: float) -> None:
        view, counted = self._views[key], self._metrics.of(key, status.url)
        for name, line in view.gauges(status, now):
            texts[name].append(line)
        _add_series(texts, counted.all_series, view.own)
        if self._metrics.shared_jobs is None:
            _add_series(texts, counted.jobs.all, view.jobs)

    def _add_gauges(self, texts: _Texts, values: Mapping[Family, Mapping[Labels, float]]) -> None:
        for family, samples in values.items():
            for labels, value in samples.items():
                if value or not family.only_above_zero:
                    texts[family.name].append(self._lines.line(family, labels, value, ""))


def _add_series(texts: _Texts, found: Iterable[CounterSeries | HistogramSeries], constant: str) -> None:
    for series in found:
        if len(series):
            texts[series.family.name].append(series.text(constant))
