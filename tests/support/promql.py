"""Which metrics and labels an expression of Prometheus' query language names. It finds selectors, no more."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SELECTOR = re.compile(r"\b((?:gha|runscaler|process)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Selector:
    metric: str
    labels: frozenset[str]


def selectors(expression: str) -> list[Selector]:
    """Each metric, with the labels that it is chosen by. Labels of a bucket's metric belong to its family."""
    found = _SELECTOR.findall(expression)
    return [
        Selector(re.sub(r"_(bucket|count|sum)$", "", name), frozenset(m[0] for m in _MATCHER.findall(inside)))
        for name, inside in found
    ]


def grouped_by(expression: str) -> set[str]:
    """The labels by which it groups or joins."""
    return {label.strip() for group in _GROUPING.findall(expression) for label in group.split(",")}
