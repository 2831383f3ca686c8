"""`scripts/bench` produces its figures, here from too few rounds to mean anything; no time is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.engine import connect

SCRIPTS = Path(__file__).parents[2] / "scripts"
PATIENCE = 110
FIGURE = {"name", "unit", "median", "low", "high", "samples", "goal", "met"}


def bench(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """What the launcher runs once it has its virtual environment."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS), "COLUMNS": "200", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def report(*words: str, **env: str) -> dict[str, dict[str, object]]:
    """The figures of the JSON report by name, each checked for its keys and its number of samples."""
    done = bench(*words, "--json", **env)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["benchmark"] == words[0]
    assert {"rounds", "cpus", "python"} <= told["conditions"].keys()
    for figure in told["figures"]:
        assert figure.keys() == FIGURE
        assert figure["low"] <= figure["median"] <= figure["high"]
        assert len(figure["samples"]) == told["conditions"]["rounds"]
    return {figure["name"]: figure for figure in told["figures"]}


@pytest.mark.parametrize(
    "words", [("core", "--jobs", "0"), ("core", "--slots", "1", "x"), ("burst", "--rounds", "-1")]
)
def test_a_number_that_measures_nothing_is_wrong_usage(words: tuple[str, ...]) -> None:
    done = bench(*words)

    assert done.returncode == 2
    assert "is not a whole number of at least 1" in done.stderr


def test_core_tells_the_rate_at_few_and_many_slots_and_what_a_job_costs_at_many():
    figures = report("core", "--jobs", "20", "--slots", "2", "6", "--rounds", "2")

    rates = ["jobs, 2 slots", "jobs, 6 slots", "jobs, 6 slots, 4 held"]
    ratios = ["cost a job: 6 slots / 2 slots", "cost a job: 6 slots, 4 held / 2 slots"]
    assert {figures[name]["goal"] for name in rates} == {">= 1000"}
    assert {figures[name]["goal"] for name in ratios} == {"<= 1.2"}
    assert "floor: bare tells" in figures


def test_core_for_people_is_a_table_with_its_conditions_and_how_to_read_it():
    done = bench("core", "--jobs", "5", "--slots", "1", "2", "--rounds", "1")

    assert done.returncode == 0
    assert all(words in done.stdout for words in ("jobs 5", "floor: bare tells", "≥ 1,000", "Cost is"))


def test_tart_tells_what_a_start_takes_beyond_the_same_calls_and_leaves_no_process():
    figures = report("tart", "--rounds", "1", "--answer", "0.01")

    goals = {name: figure["goal"] for name, figure in figures.items() if name.endswith("beyond both")}
    assert goals == {
        "cold: beyond both": "<= 100",
        "cold by exec probes: beyond both": None,
        "warm: beyond both": "<= 50",
    }
    floors = [figure["median"] for name, figure in figures.items() if ": floor, " in name]
    assert len(floors) == 3
    assert all(floor > 0 for floor in floors)


@pytest.mark.engine
def test_burst_tells_its_time_to_the_best_pool_and_leaves_the_engine_empty(engine_url, tmp_path):
    sizes = ("--jobs", "2", "--rounds", "1", "--widths", "1", "2", "--answer", "0.01", "--network", "host")

    figures = report("burst", *sizes, RUNSCALER_TEST_DOCKER_HOST=engine_url, TMPDIR=str(tmp_path))

    ratio = next(figure for name, figure in figures.items() if name.startswith("to the best floor"))
    assert ratio["goal"] == "<= 1.1"
    assert {
        "until all run",
        "floor: pool 1 wide",
        "floor: pool 2 wide",
        "to the paced floor",
    } <= figures.keys()
    with connect(engine_url) as api:
        labels = [each["Labels"].get("io.runscaler.state-dir", "") for each in api.containers(all=True)]
    assert not [label for label in labels if label.startswith(str(tmp_path))]


def test_burst_without_an_engine_says_where_it_looked():
    done = bench("burst", RUNSCALER_TEST_DOCKER_HOST="unix:///nowhere.sock")

    assert done.returncode == 1
    assert "no Docker engine answers at unix:///nowhere.sock" in done.stderr
    assert "Traceback" not in done.stderr


def test_web_tells_how_fast_livez_answers_beside_hostile_clients_and_that_nothing_is_left():
    figures = report("web", "--clients", "200", "--seconds", "1", "--rounds", "2")

    for name in ("livez, not answered", "open files more afterwards", "threads more afterwards"):
        assert figures[name]["met"], figures[name]
    assert figures["connections made"]["low"] >= 200
    assert figures["livez, slowest"]["goal"] == "<= 2000"
