"""GitHub's own client library checks the simulator, in its latest and its first version; so do calls as an
older client of GitHub's made them. See `main.go`, which prints a line for each check."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.missing import missing

import runscaler

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CONTROL_TOKEN = "of-the-conformance-test"
AGENT = Path(runscaler.__file__).parent / "simulator" / "agent.py"
MODULE = re.search(r"^go (\d+)\.(\d+)", (HERE / "go.mod").read_text(), re.MULTILINE)

pytestmark = pytest.mark.timeout(600)
"""The first build downloads the library's modules and compiles Go's own network stack."""


@pytest.fixture(scope="module")
def go() -> str:
    """A version of Go that is new enough for the library."""
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


def build(go: str, folder: Path, *options: str) -> Path:
    """Build the program and return its path."""
    built = folder / "conformance"
    environment = {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [go, "build", *options, "-o", built, "."], cwd=HERE, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(scope="module")
def program(go: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(go, tmp_path_factory.mktemp("conformance"))


@pytest.fixture
def simulator(flavour: str) -> Iterator[str]:
    """The address of `runner simulate`, which runs as a process of its own."""
    command = [
        sys.executable,
        "-m",
        "runscaler",
        "simulate",
        "--port",
        "0",
        "--fast",
        "--flavour",
        flavour,
        "--control-token",
        CONTROL_TOKEN,
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = urlsplit(process.stdout.readline().split()[-1])
            yield f"{address.scheme}://{address.netloc}"
        finally:
            process.terminate()
    assert process.returncode == 0


def check(program: Path, *options: str) -> None:
    """Every check of the program must pass."""
    command = [program, *options, "-control-token", CONTROL_TOKEN, "-python", sys.executable, "-agent", AGENT]

    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed, 0 failed$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("flavour", ["assign", "acquire"])
def test_githubs_own_client_and_listener_find_nothing_wrong(
    program: Path, simulator: str, flavour: str
) -> None:
    check(program, "-url", simulator, "-flavour", flavour, "-jobs", "30")


@pytest.mark.parametrize("flavour", ["acquire"])
def test_an_older_client_and_its_listener_find_nothing_wrong(
    program: Path, simulator: str, flavour: str
) -> None:
    check(program, "-arc", "-url", simulator, "-flavour", flavour, "-jobs", "10", "-runners", "3")


@pytest.mark.parametrize("flavour", ["assign"])
def test_the_first_version_of_githubs_library_finds_nothing_wrong(
    go: str, tmp_path: Path, simulator: str, flavour: str
) -> None:
    """It knows no offers, so that GitHub must assign the jobs itself."""
    older = build(go, tmp_path, "-modfile=older.mod", "-tags", "older")

    check(older, "-url", simulator, "-flavour", flavour, "-jobs", "10", "-runners", "3")


def test_the_library_is_exactly_the_version_that_the_protocol_was_read_from() -> None:
    assert "github.com/actions/scaleset v0.4.0\n" in (HERE / "go.mod").read_text()
    assert "github.com/actions/scaleset v0.1.0\n" in (HERE / "older.mod").read_text()
