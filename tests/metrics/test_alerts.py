"""The alert rules: Prometheus' own tool plays series to each, and they use only metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from support.alert_cases import CASES, Case
from support.missing import missing
from support.promql import selectors

from runscaler.metrics.catalogue import METRIC_NAMES

ALERTS = Path(__file__).parents[2] / "conf/prometheus/alerts.yml"
_RULE = re.compile(r"^      - alert: (\w+)\n(.*?)(?=^      - alert|\Z)", re.MULTILINE | re.DOTALL)


def rules() -> dict[str, str]:
    """The text of each rule, by its name."""
    return dict(_RULE.findall(ALERTS.read_text()))


def severity(alert: str) -> str:
    found = re.search(r"severity: (\w+)", rules()[alert])
    assert found
    return found[1]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        missing("promtool (Debian package prometheus)")
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def played(case: Case, series: dict[str, str], firing: bool, folder: Path) -> str:
    """Empty if after these series the alert fires, with the labels of the case and no other, or does not, as
    `firing` says; else what promtool says."""
    labels = {
        "alertname": case.alert,
        "alertstate": "firing",
        "severity": severity(case.alert),
        **case.labels,
    }
    names = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    look = {
        "expr": f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}',
        "eval_time": f"{case.at}m",
        "exp_samples": [{"labels": f"ALERTS{{{names}}}", "value": 1}] if firing else [],
    }
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    tests = [{"interval": "1m", "input_series": inputs, "promql_expr_test": [look]}]
    file = folder / "test.yml"
    content = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(json.dumps(content))  # JSON is YAML
    done = promtool("test", "rules", str(file))
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    done = promtool("check", "rules", str(ALERTS))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=[one.alert for one in CASES])
def test_an_alert_fires(case: Case, tmp_path: Path) -> None:
    assert played(case, case.fires, True, tmp_path) == ""


@pytest.mark.parametrize("case", CASES, ids=[one.alert for one in CASES])
def test_an_alert_stays_silent(case: Case, tmp_path: Path) -> None:
    assert played(case, case.silent, False, tmp_path) == ""


def test_every_alert_has_a_case_and_says_what_to_do() -> None:
    assert set(rules()) == {one.alert for one in CASES}
    assert len(rules()) == 21
    assert all("action:" in text and "summary:" in text for text in rules().values())
    assert Counter(map(severity, rules())) == {"critical": 8, "warning": 12, "info": 1}


@pytest.mark.parametrize("alert", sorted(rules()))
def test_an_alert_reads_only_metrics_that_there_are(alert: str) -> None:
    found = selectors(rules()[alert].partition("annotations:")[0].partition("expr:")[2])

    assert found
    assert {one.metric for one in found} - {*METRIC_NAMES, "up"} == set()
