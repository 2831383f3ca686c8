"""A recorded day is played again against the whole program: the same messages, the same decisions."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.daemon import RUNNER, Daemon, wait_until
from support.embedded import EmbeddedDaemon, configured

from runscaler.ops.journal import journal_files
from runscaler.testing.simulator import Flavour, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "recorded"


def entries(state_dir: Path, kind: str) -> Iterator[dict[str, object]]:
    for path in journal_files(state_dir):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry["kind"] == kind:
                yield entry


def decisions(state_dir: Path) -> tuple[int, list[object]]:
    """How many runners were started, and the states without those of the stop."""
    started = sum(int(str(one["start"])) for one in entries(state_dir, "plan"))
    states = [one["state"] for one in entries(state_dir, "state") if one["state"] != "draining"]
    return started, states


def told(state_dir: Path) -> Iterator[object]:
    """The kinds of all job messages, in order."""
    for entry in entries(state_dir, "message"):
        events = entry["events"]
        assert isinstance(events, list)
        yield from (event["type"] for event in events)


def wait_for_jobs(daemon: EmbeddedDaemon) -> None:
    """Until the daemon has been told of the end of all jobs."""
    wait_until(lambda: daemon.of(NAME).counters.jobs_completed == 6, "the end of 6 jobs")


def record(folder: Path, flavour: Flavour) -> Path:
    """Let a daemon serve a day: 3 jobs, one that fails, 2 at once. Returns its state directory."""
    with SimulatedGitHub(flavour=flavour, threads=64) as github:
        files = Daemon(folder, configured(github, NAME, max_runners=2))
        with EmbeddedDaemon(github, files) as daemon:
            daemon.jobs(NAME, 3)
            daemon.jobs(NAME, 1, step="exit 1")
            daemon.jobs(NAME, 2, step="sleep 0.2")
            wait_for_jobs(daemon)
    return files.state_dir


def journal(recorded: Path) -> Path:
    return next(path for path in journal_files(recorded) if path.name.endswith(".messages.jsonl"))


def report(recorded: Path) -> Path:
    archive = recorded.parent / "report.tar.gz"
    words = ("--state-dir", recorded, "--config", recorded.parent / "config.toml", "--output", archive)
    subprocess.run([*RUNNER, "report", *words], check=True, stdout=subprocess.DEVNULL)
    return archive


@pytest.mark.parametrize(("flavour", "packed"), [(Flavour.ASSIGN, report), (Flavour.ACQUIRE, journal)])
def test_the_same_messages_lead_to_the_same_decisions(
    tmp_path: Path, flavour: Flavour, packed: Callable[[Path], Path]
) -> None:
    recorded = record(tmp_path / "recorded", flavour)
    with SimulatedGitHub(threads=64, replay=packed(recorded)) as github:
        files = Daemon(tmp_path / "again", configured(github, NAME, max_runners=2))
        with EmbeddedDaemon(github, files) as daemon:
            (result,) = github.wait_for_replays()
            wait_for_jobs(daemon)
        violations = github.final_violations()

    again = files.state_dir
    assert (result.taken, result.jobs, result.alone, violations) == (result.messages, 6, 0, ())
    assert decisions(again) == decisions(recorded)
    assert list(told(again)) == list(told(recorded))
