"""Which deviations of files written for the Go tool are accepted (docs/behaviour.md § 4.1).

Its `init` wrote some global keys into tables. It ignored the case of keys, accepted numbers as strings and
labels as one comma-separated string. Its first versions had flat keys such as `docker-socket`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from runscaler.config.schema import KeySpec, Kind, TomlPath, scale_set_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

MISPLACED = frozenset({"log-level", "log-format", "health-port", "dry-run"})
"""Global keys that are ignored, with a warning, inside [docker], [tart] and [[scaleset]]."""
MISPLACED_IN = frozenset({(), ("docker",), ("tart",)})
"""The tables of a scale set where `MISPLACED` keys are ignored; the empty path is the scale set itself."""
IGNORED_BESIDE_SETS = frozenset({"url", "name", "token", "labels", "min-runners", "app"})
"""Top-level keys without meaning if there are [[scaleset]] tables, as identity keys are never inherited."""

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


@cache
def flat_keys() -> Mapping[str, TomlPath]:
    """The flat keys of the first versions, each with its present path."""
    places: dict[str, TomlPath] = {"tart-image": ("runner-image",)}
    for path in scale_set_keys():
        if path[0] in ("docker", "tart") and len(path) == 2:
            places["-".join(path)] = path
    return {**places, "dind": ("docker", "dind"), "shared-volume": ("docker", "shared-volume")}


def present_path(table: TomlPath, name: str) -> TomlPath | None:
    """The present path of a key of the first versions; None for any other key."""
    if not table:
        return flat_keys().get(name.lower())
    return ("runner-image",) if (*table, name.lower()) == ("tart", "image") else None


MOST_DIGITS = 20
"""Of a number that is written as a string, with its sign: it has 64 bits, as those of TOML have."""


def from_text(spec: KeySpec, text: str) -> object:
    """The value of a string for this key's type; the string itself if it cannot be converted."""
    if spec.kind is Kind.BOOLEAN or "true" in spec.choices:
        return _boolean(text)
    if len(text) > MOST_DIGITS and spec.kind not in (Kind.STRING, Kind.STRINGS):
        return text
    if spec.kind is Kind.INTEGER and _INTEGER.fullmatch(text):
        return int(text)
    if spec.kind is Kind.NUMBER and _NUMBER.fullmatch(text):
        return float(text)
    if spec.kind in (Kind.DURATION, Kind.SIZE) and text.isdecimal():
        return int(text)
    return split_labels(text) if spec.kind is Kind.STRINGS else text


def split_labels(text: str) -> list[str]:
    return [label.strip() for label in text.split(",") if label.strip()]


def _boolean(text: str) -> object:
    if text in _TRUE:
        return True
    return False if text in _FALSE else text
