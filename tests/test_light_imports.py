"""`runner version` and `--help` import no heavy library (docs/architecture.md § In one picture)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "cryptography",
    "docker",
    "jwt",
    "loguru",
    "prometheus_client",
    "psutil",
    "pydantic",
    "pykka",
    "requests",
    "rich",
    "waitress",
}

REPORT = """
import json, sys
def report():
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
IMPORT = f"{REPORT}\nimport runscaler.cli\nreport()"
COMMAND = """
import runscaler.cli
sys.argv = ["runner", {argument!r}]
try:
    runscaler.cli.main()
finally:
    report()
"""


def loaded(program: str) -> set[str]:
    """Names of the top-level modules that a program has imported at its end."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded(IMPORT.replace("runscaler.cli", "runscaler")) & HEAVY == set()


def test_importing_the_commands_loads_nothing_heavy() -> None:
    assert loaded(IMPORT) & HEAVY == set()


@pytest.mark.parametrize("argument", ["version", "--version", "--help"])
def test_asking_for_version_or_help_loads_nothing_heavy(argument: str) -> None:
    assert loaded(REPORT + COMMAND.format(argument=argument)) & HEAVY == set()
