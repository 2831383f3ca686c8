"""What pyproject.toml declares is what the package needs, with versions that the tests have run."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import runscaler

PACKAGE = Path(runscaler.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
RUNTIME: list[str] = PROJECT["dependencies"]
ONLY_DATA = {"tzdata"}
"""Read by the standard library."""
ALL = [*RUNTIME, *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]


MODULES = {"pyjwt": "jwt"}
"""Distributions whose module has another name."""


def imported() -> set[str]:
    """Top-level names of every module that the package imports."""
    nodes = [node for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in plain | froms}


def test_every_dependency_is_imported() -> None:
    declared = {re.split(r"[<>=~!\[; ]", line)[0].replace("-", "_") for line in RUNTIME}

    assert {MODULES.get(name, name) for name in declared} - ONLY_DATA <= imported()


@pytest.mark.parametrize("line", ALL)
def test_every_dependency_has_a_lower_bound(line: str) -> None:
    assert re.match(r"[\w-]+>=\d", line)
