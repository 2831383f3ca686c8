"""`scripts/chaos`: the same seed makes the same plan, and a short run violates no invariant."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
PATIENCE = 110
SUMMARY = re.compile(
    r"seed 17, process, \d+ s: (\d+) of \1 jobs ended, \d+ as failed; .*; all invariants hold\n"
)


def chaos(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """What the launcher runs once it has its virtual environment."""
    return subprocess.run(
        [sys.executable, "-m", "chaos_plan", *words],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def plan(seed: int) -> list[str]:
    done = chaos("--seed", str(seed), "--minutes", "2", "--plan")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "soon"])
def test_a_length_that_is_not_positive_is_wrong_usage(minutes: str) -> None:
    done = chaos("--minutes", minutes)

    assert done.returncode == 2
    assert "is not a number of minutes above 0" in done.stderr


def test_the_same_seed_makes_the_same_plan_and_another_seed_another_one():
    assert plan(7) == plan(7) != plan(8)


def test_a_plan_s_actions_are_sorted_by_time_and_of_every_kind():
    actions = plan(7)

    moments = [float(re.search(r"at=([\d.]+)", action)[1]) for action in actions[1:]]
    kinds = {action.partition("(")[0] for action in actions[1:]}
    assert "min-runners" in actions[0]
    assert moments == sorted(moments)
    always = {"QueueJob", "BreakWire", "EndSession", "KillRunner", "PauseRunner", "ContinueRunners"}
    assert kinds == always | {"EndDaemon", "StartDaemon"}


def test_a_short_run_prints_one_line_and_leaves_no_files(tmp_path):
    done = chaos("--seed", "17", "--minutes", "0.1", TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert SUMMARY.fullmatch(done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_without_an_engine_the_error_names_the_address(tmp_path):
    words = ("--minutes", "0.1", "--backend", "docker")
    nowhere = {"RUNSCALER_TEST_DOCKER_HOST": "unix:///nowhere.sock", "TMPDIR": str(tmp_path)}

    done = chaos(*words, **nowhere)

    assert done.returncode == 1
    assert "no Docker engine answers at unix:///nowhere.sock" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--seed", "--minutes", "--backend"])
def test_wrong_arguments_are_refused(option):
    assert chaos(option, "nonsense").returncode == 2
