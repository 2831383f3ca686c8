"""The tables of the whole process: [host] and [metrics]."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator

from runscaler.config.base import Key, Settings
from runscaler.config.values import (
    A_BOOLEAN,
    A_COUNT,
    A_NUMBER,
    A_SIZE,
    A_STRING,
    Count,
    NonNegativeNumber,
    Numbers,
    Positive,
    Size,
    Strings,
)
from runscaler.metrics.catalogue import METRIC_NAMES


class HostSettings(Settings):
    """[host]: limits for all scale sets of this process together (docs/behaviour.md § 6.4)."""

    max_runners: Annotated[
        Count, Key(help="Maximum number of runners of all scale sets together; 0: no limit", accepts=A_COUNT)
    ] = 0
    min_free_memory: Annotated[
        Size, Key(help="Start no runner while less memory is free", accepts=A_SIZE)
    ] = 0
    min_free_disk: Annotated[
        Size, Key(help="Start no runner while less disk space is free", accepts=A_SIZE)
    ] = 0
    max_load: Annotated[
        NonNegativeNumber,
        Key(help="Start no runner while the one-minute load average is above this; 0: off", accepts=A_NUMBER),
    ] = 0.0

    @property
    def is_guarded(self) -> bool:
        """Must the host be looked at before a runner starts?"""
        return bool(self.min_free_memory or self.min_free_disk or self.max_load)

    @property
    def limits_starts(self) -> bool:
        """Is the host asked before each start?"""
        return self.max_runners > 0 or self.is_guarded


DEFAULT_JOB_LABELS = ("enterprise", "organization", "repository", "job_name", "event_name", "job_result")
JOB_LABELS = (*DEFAULT_JOB_LABELS, "job_workflow_ref", "job_workflow_name", "job_workflow_target")
JOB_BUCKETS = (
    *(0.01, 0.05, 0.1, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 30, 40, 50, 60, 70),
    *(80, 90, 100, 110, 120, 150, 180, 210, 240, 300, 360, 420, 480, 540, 600, 900, 1200, 1800),
    *(2400, 3000, 3600),
)


def _known_labels(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [label for label in value if label not in JOB_LABELS]
    if unknown:
        raise ValueError(f"no such label: {', '.join(unknown)}")
    return value


def _rising(value: tuple[float, ...]) -> tuple[float, ...]:
    if not value or value[0] <= 0 or any(low >= high for low, high in pairwise(value)):
        raise ValueError("the numbers must increase and be above 0")
    return value


def _known_metrics(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if name not in METRIC_NAMES:
            near = get_close_matches(name, METRIC_NAMES, 1)
            raise ValueError(f"no such metric: {name}" + (f"; did you mean {near[0]}?" if near else ""))
    return value


MetricNames = Annotated[Strings, AfterValidator(_known_metrics)]
JobLabels = Annotated[Strings, AfterValidator(_known_labels)]
Buckets = Annotated[Numbers, AfterValidator(_rising)]


class MetricsSettings(Settings):
    """[metrics] (docs/behaviour.md § 9.3)."""

    namespace: Annotated[
        str,
        Key(help="Value of the label namespace on the metrics that ARC has too", accepts=A_STRING),
    ] = "runscaler"
    arc_labels: Annotated[bool, Key(help="Serve ARC's labels on ARC's metrics", accepts=A_BOOLEAN)] = True
    job_labels: Annotated[
        JobLabels,
        Key(help="Labels of the job metrics", accepts=f"a list of {', '.join(JOB_LABELS)}"),
    ] = DEFAULT_JOB_LABELS
    job_buckets: Annotated[
        Buckets,
        Key(
            help="Buckets of the job histograms, in seconds",
            accepts="a list of increasing numbers above 0",
            default="the 45 buckets of ARC",
        ),
    ] = JOB_BUCKETS
    disable: Annotated[
        MetricNames, Key(help="Metrics that are not served", accepts="a list of metric names")
    ] = ()
    max_job_series: Annotated[
        Positive,
        Key(
            help='Maximum number of label combinations per metric; the rest is counted as job_name="_other"',
            accepts="a whole number of at least 1",
        ),
    ] = 2000
