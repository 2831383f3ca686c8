"""The wheel contains the whole package and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import runscaler

PACKAGE = Path(runscaler.__file__).parent
ROOT = PACKAGE.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build directory appears in the source tree."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(PACKAGE, source / "runscaler", ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "out",
        ".",
    ]
    subprocess.run(command, cwd=source, check=True, stdin=subprocess.DEVNULL)
    return next((source / "out").glob("runscaler-*.whl"))


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}

    packed = set(zipfile.ZipFile(wheel).namelist())

    assert {path.relative_to(ROOT).as_posix() for path in files} - packed == set()


def test_the_wheel_holds_nothing_beside_the_package(wheel: Path) -> None:
    folders = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert folders == {"runscaler", f"runscaler-{runscaler.__version__}.dist-info"}


def test_both_commands_are_installed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entry_points = archive.read(f"runscaler-{runscaler.__version__}.dist-info/entry_points.txt").decode()

    assert "runner = runscaler.cli:main" in entry_points
    assert "runscaler = runscaler.cli:main" in entry_points
