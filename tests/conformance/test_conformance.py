"""GitHub's own client library judges the simulator: `main.go` says how; its lines are the checks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.missing import missing

from runscaler.testing.simulator import Flavour, SimulatedGitHub

HERE = Path(__file__).parent
MODULE = re.search(r"^go (\d+)\.(\d+)", (HERE / "go.mod").read_text(), re.MULTILINE)
JOBS = 30

pytestmark = pytest.mark.timeout(600)
"""The first build downloads the library's modules and compiles Go's own network stack."""


@pytest.fixture(scope="module")
def go() -> str:
    """A Go that is new enough for the library."""
    assert MODULE is not None
    wanted = (int(MODULE[1]), int(MODULE[2]))
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found is None:
        missing(f"Go {wanted[0]}.{wanted[1]} or newer")
    said = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, re.findall(r"\d+", said)[:2]))
    if version < wanted:
        missing(f"Go {wanted[0]}.{wanted[1]} or newer (this is {said.strip()})")
    return found


@pytest.fixture(scope="module")
def program(go: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("conformance") / "conformance"
    environment = {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [go, "build", "-o", built, "."], cwd=HERE, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return built


@pytest.mark.parametrize("flavour", Flavour)
def test_githubs_own_client_and_listener_find_nothing_wrong(program: Path, flavour: Flavour) -> None:
    with SimulatedGitHub(fast=True, flavour=flavour) as github:
        command = [program, "-url", github.url, "-flavour", flavour, "-jobs", str(JOBS)]
        command += ["-python", sys.executable, "-agent", github.agent_path]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        completed = len(github.state().jobs)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed, 0 failed$", done.stdout, re.MULTILINE)
    assert completed >= JOBS


def test_the_library_is_exactly_the_version_that_the_protocol_was_read_from() -> None:
    assert "github.com/actions/scaleset v0.4.0\n" in (HERE / "go.mod").read_text()
