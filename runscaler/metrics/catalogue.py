"""All metrics there are."""

from __future__ import annotations

from runscaler.metrics import arc, own

METRIC_NAMES = tuple(
    sorted({one.name for one in (*arc.GAUGES, *arc.CONTROLLER, *own.FAMILIES)} | set(arc.JOB_NAMES))
)
