"""What files for the Go tool may hold, and what becomes of it (docs/behaviour.md § 4.1).

Its `init` wrote some global keys below a table's header; it took keys in any case, numbers as texts
and labels with commas; its first versions had flat keys.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from runscaler.config.schema import Kind, Leaf, TomlPath, scale_set_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

MISPLACED = frozenset({"log-level", "log-format", "health-port", "dry-run"})
"""Global keys that are ignored, with a warning, inside [docker], [tart] and [[scaleset]]."""
MISPLACED_IN = frozenset({(), ("docker",), ("tart",)})
"""The tables of a scale set (the first is the set itself) where they are put up with."""
IGNORED_BESIDE_SETS = frozenset({"url", "name", "token", "labels", "min-runners", "app"})
"""Top-level keys that mean nothing beside [[scaleset]]: identity is never inherited."""

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


@cache
def flat_keys() -> Mapping[str, TomlPath]:
    """The keys of the first versions, each with the place it has now."""
    places: dict[str, TomlPath] = {"tart-image": ("runner-image",)}
    for path in scale_set_keys():
        if path[0] in ("docker", "tart") and len(path) == 2:
            places["-".join(path)] = path
    return {**places, "dind": ("docker", "dind"), "shared-volume": ("docker", "shared-volume")}


def new_place(table: TomlPath, name: str) -> TomlPath | None:
    """Where a key of the first versions belongs today; None for any other key."""
    if not table:
        return flat_keys().get(name.lower())
    return ("runner-image",) if (*table, name.lower()) == ("tart", "image") else None


def from_text(leaf: Leaf, text: str) -> object:
    """The value that a text means for this key, or the text itself where it means none."""
    if leaf.kind is Kind.SWITCH or "true" in leaf.choices:
        return _switch(text)
    if leaf.kind is Kind.INTEGER and _INTEGER.fullmatch(text):
        return int(text)
    if leaf.kind is Kind.NUMBER and _NUMBER.fullmatch(text):
        return float(text)
    if leaf.kind in (Kind.DURATION, Kind.SIZE) and text.isdecimal():
        return int(text)
    return split_labels(text) if leaf.kind is Kind.TEXTS else text


def split_labels(text: str) -> list[str]:
    return [label.strip() for label in text.split(",") if label.strip()]


def _switch(text: str) -> object:
    if text in _TRUE:
        return True
    return False if text in _FALSE else text
