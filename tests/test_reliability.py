"""docs/reliability.md has a row for every fault, and names only tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "runscaler"
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text()
FAULTS = [f"F{number}" for number in range(1, 101)]
ROWS = dict(re.findall(r"^\| (F\d+) \| .+? \| (.+) \|$", PAGE, re.MULTILINE))
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
SHORT = dict(re.findall(r"^\| (\w+) \| `([\w/]+\.py::\w+)` \|$", PAGE, re.MULTILINE))
"""Tests with one case per fault, by the short name used in the rows."""


def parsed(file: str) -> ast.Module:
    """Parse a file below `tests`; `testing/…` is the contract suite in the package."""
    path = (PACKAGE if file.startswith("testing/backend_contract") else TESTS) / file
    return ast.parse(path.read_text())


def functions(module: ast.Module) -> set[str]:
    return {node.name for node in ast.walk(module) if isinstance(node, ast.FunctionDef)}


def faults_with_a_case(short: str) -> set[str]:
    """The faults in the tables of cases of the test's file; `F9 list` is a case of F9."""
    file, _, _ = SHORT[short].partition("::")
    keys = [
        key.value
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]
    return {word for key in keys for word in key.split()}


def test_every_fault_has_one_row_in_order() -> None:
    assert re.findall(r"^\| (F\d+) \|", PAGE, re.MULTILINE) == FAULTS
    assert list(ROWS) == FAULTS


def test_every_named_test_exists() -> None:
    named = NAMED.findall(PAGE)

    assert named
    assert [f"{file}::{name}" for file, name in named if name not in functions(parsed(file))] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_names_a_test_or_says_why_there_is_none(fault: str) -> None:
    shorts = [word for word in re.split(r"[,;] ", ROWS[fault]) if word in SHORT]

    assert shorts or NAMED.search(ROWS[fault]) or re.search(r"not yet: \w+", ROWS[fault])
    assert [short for short in shorts if fault not in faults_with_a_case(short)] == []
