"""Fixtures that run a command line inside the test, or as a real process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from runscaler.cli import execute


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.out)


@pytest.fixture
def runner(capsys, monkeypatch):
    """`runner("status", "--json")` runs a command line; returns its exit code and output."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str) -> Ended:
        code = execute(words, "runner")
        output = capsys.readouterr()
        return Ended(code, output.out, output.err)

    return run


@pytest.fixture
def process():
    """Like `runner`, but as a real process."""

    def run(*words: str, **more: object) -> Ended:
        command = [sys.executable, "-m", "runscaler", *words]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run
