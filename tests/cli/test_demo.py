"""The demo as a real process; an acceptance test of the whole program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = (sys.executable, "-m", "runscaler", "demo")
KEYS = {
    "jobs_queued",
    "jobs_done",
    "jobs_failed",
    "runners_started",
    "leftovers",
    "seconds",
    "violations",
    "first_job_seconds",
    "backend",
    "fake_tart",
}


@pytest.fixture
def home(tmp_path) -> dict[str, str]:
    """An environment with a temporary directory of its own."""
    return {**os.environ, "TMPDIR": str(tmp_path)}


def left_in(home: dict[str, str]) -> list[Path]:
    return list(Path(home["TMPDIR"]).glob("runner-demo-*"))


def results(home: dict[str, str], *words: str) -> dict[str, object]:
    ended = subprocess.run(
        [*DEMO, "--json", *words], env=home, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def assert_all_went_well(got: dict[str, object], jobs: int) -> None:
    assert set(got) == KEYS
    assert (got["jobs_queued"], got["jobs_done"], got["jobs_failed"]) == (jobs, jobs, 0)
    assert got["runners_started"] >= jobs
    assert (got["leftovers"], got["violations"]) == (0, 0)
    assert 0 < got["first_job_seconds"] <= got["seconds"]


def test_with_processes_all_jobs_are_done_and_nothing_is_left(home):
    got = results(home, "--backend", "process", "--jobs", "8", "--max-runners", "3")

    assert_all_went_well(got, 8)
    assert left_in(home) == []


def test_with_fake_vms_all_jobs_are_done_and_nothing_is_left(home):
    got = results(home, "--backend", "tart", "--fake-tart", "--jobs", "4")

    assert_all_went_well(got, 4)
    assert (got["backend"], got["fake_tart"]) == ("tart", True)
    assert left_in(home) == []


def test_the_first_line_says_that_a_fake_tart_is_used(home):
    words = [*DEMO, "--backend", "tart", "--jobs", "1", "--fake-tart"]

    ended = subprocess.run(words, env=home, capture_output=True, text=True, timeout=100, check=False)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("as requested: using a fake tart, whose VMs are processes\n")
    assert "✓ nothing is left" in ended.stdout


@pytest.mark.engine
def test_with_containers_all_jobs_are_done_and_nothing_is_left(home, engine_url):
    got = results({**home, "DOCKER_HOST": engine_url}, "--backend", "docker", "--jobs", "6")

    assert_all_went_well(got, 6)


def test_without_a_terminal_it_prints_each_event_and_a_summary(home):
    words = [*DEMO, "--backend", "process", "--jobs", "2"]

    ended = subprocess.run(words, env=home, capture_output=True, text=True, timeout=100, check=False)

    assert ended.returncode == 0, ended.stderr
    assert "GitHub is simulated" in ended.stdout
    assert "runs build 1" in ended.stdout
    assert "✓ 2 of 2 jobs done" in ended.stdout
    assert "✓ nothing is left" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("backend", [("process",), ("tart", "--fake-tart")])
def test_an_interrupted_demo_removes_everything(home, backend, number, code):
    with subprocess.Popen(
        [*DEMO, "--jobs", "500", "--backend", *backend],
        env=home,
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        for line in demo.stdout:
            if " runs " in line:
                break

        demo.send_signal(number)
        demo.communicate(timeout=100)

    assert demo.returncode == code
    assert left_in(home) == []


@pytest.mark.parametrize(
    "words",
    [
        ("--fake-tart",),
        ("--backend", "process", "--runner-image", "vm"),
        ("--backend", "tart", "--fake-tart", "--runner-image", "vm"),
    ],
)
def test_options_without_effect_are_wrong_usage(runner, words):
    ended = runner("demo", *words)

    assert ended.code == 2
    assert "--runner-image" in ended.err


@pytest.mark.engine
def test_only_image_prints_the_name_of_the_image_last(home, engine_url):
    words = [*DEMO, "--only-image"]
    env = {**home, "DOCKER_HOST": engine_url}

    ended = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=True)

    assert ended.stdout.splitlines()[-1].startswith("runscaler-demo:")
