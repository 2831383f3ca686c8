"""The kinds of value that keys hold: strict types, so that nothing is guessed in silence.

Durations become float seconds, sizes whole bytes; a list becomes a tuple. A validator's ValueError
is the reason that the user reads.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from runscaler.config.secrets import Secret
from runscaler.units import parse_duration, parse_size


def _seconds(value: object) -> object:
    """A Go-style text, or whole seconds; anything else is left for the type to refuse."""
    if isinstance(value, str):
        return float(value) if value.isdecimal() else parse_duration(value)
    return value


def _bytes(value: object) -> object:
    """A text with its unit, or whole megabytes; 0 is off."""
    if isinstance(value, str):
        return parse_size(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value * 1024 * 1024
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("it is not a finite number")
    return value


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _path(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str) and value else value


Duration = Annotated[float, BeforeValidator(_seconds), AfterValidator(_finite), Field(ge=0)]
"""Seconds."""
Size = Annotated[int, BeforeValidator(_bytes), Field(ge=0)]
"""Bytes."""
Amount = Annotated[float, AfterValidator(_finite), Field(ge=0)]
"""A number of at least 0, fractions allowed."""
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
Numbers = Annotated[tuple[Amount, ...], BeforeValidator(_tuple)]
FilePath = Annotated[Path, BeforeValidator(_path)]
MaybeSecret = Secret | None

A_DURATION = 'a duration such as "90s", "10m" or "6h30m", or whole seconds'
A_SIZE = 'a size such as "10GiB" or "512MiB", or whole megabytes; 0 is off'
A_COUNT = "a whole number of at least 0"
A_NUMBER = "a number of at least 0"
A_TEXT = "a text"
A_SWITCH = "true or false"
TEXTS = "a list of texts"
A_TABLE = "a table of texts"
