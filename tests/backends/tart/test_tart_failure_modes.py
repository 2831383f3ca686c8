"""Each failure mode of docs/tart.md § 17 has a test, which names it in its docstring: `T7`."""

from __future__ import annotations

import ast
import re
from pathlib import Path


def test_every_failure_mode_has_a_test():
    shown = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                shown |= {int(number) for number in re.findall(r"\bT(\d+)\b", ast.get_docstring(node) or "")}

    assert shown == set(range(1, 41))
