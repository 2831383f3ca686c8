"""docs/metrics.md names every metric and every alert."""

from __future__ import annotations

import re
from pathlib import Path

from runscaler.metrics import own
from runscaler.metrics.catalogue import METRIC_NAMES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/metrics.md").read_text()


def test_every_metric_has_a_row_with_its_labels_and_their_values() -> None:
    rows = {name: line for line in PAGE.splitlines() for name in re.findall(r"^\| `(\w+)`", line)}

    assert {name for name in METRIC_NAMES if not name.startswith("process_")} <= set(rows)
    for family in own.FAMILIES:
        row = rows.get(family.name, "")
        for label in family.labels if row else ():
            assert f"`{label.name}`" in row
            assert ", ".join(label.values) in row


def test_every_alert_is_named() -> None:
    rules = (ROOT / "conf/prometheus/alerts.yml").read_text()

    assert all(name in PAGE for name in re.findall(r"alert: (\w+)", rules))
