"""The kinds of value that keys hold: strict types, so that nothing is guessed in silence.

Durations become float seconds, sizes whole bytes; a list becomes a tuple. A validator's ValueError
is the reason that the user reads.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field

from runscaler.config.secrets import Secret, expanded
from runscaler.units import parse_duration, parse_size

MOST_RUNNERS = 100_000
"""Of one scale set. What is above it is a slip of the finger, and too much for a list of slots."""


class Unit(StrEnum):
    """Marks a number that users write as a text with its unit."""

    SECONDS = "seconds"
    BYTES = "bytes"


def _seconds(value: object) -> object:
    """A Go-style text, or whole seconds; anything else is left for the type to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value.isdecimal() else parse_duration(value)
    except ValueError as error:
        raise ValueError("it is negative" if value.strip().startswith("-") else "") from error


def _bytes(value: object) -> object:
    """A text with its unit, or whole megabytes; 0 is off."""
    if isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError as error:
            raise ValueError("") from error
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
    return expanded(value) if isinstance(value, str) and value else value


def _place(value: str) -> str:
    """Kept as it is written; who uses it expands it."""
    expanded(value)
    return value


def _conceivable(value: int) -> int:
    if value > MOST_RUNNERS:
        raise ValueError(f"it is above {MOST_RUNNERS}")
    return value


def not_zero(cure: str) -> AfterValidator:
    """Refuses 0 where it would be taken for "everything is old"; `cure` is what to write instead."""

    def refuse(value: float) -> float:
        if value == 0:
            raise ValueError(f"0 would mean that everything is old: to switch it off write {cure}")
        return value

    return AfterValidator(refuse)


def _whole_days(value: float) -> float:
    if value % 86400:
        raise ValueError("it is not a whole number of days (24h, 48h, …)")
    return value


def _socket(value: str) -> str:
    path = value.removeprefix("unix://")
    if "://" in path:
        raise ValueError("it is a URL: write it as host, not as socket")
    if path and not path.startswith(("/", "~")):
        raise ValueError("it is not an absolute path")
    return str(expanded(path)) if path else ""


def _engine(value: str) -> str:
    scheme, mark, rest = value.partition("://")
    if value and (not mark or not rest or scheme not in ("unix", "tcp", "ssh")):
        raise ValueError("it is not the URL of an engine")
    return value


def _web(value: str) -> str:
    scheme, mark, rest = value.partition("://")
    if value and (not mark or not rest or scheme not in ("http", "https")):
        raise ValueError("it is not an http:// or https:// URL")
    return value


def _mount_path(value: str) -> str:
    if value and (not value.startswith("/") or ":" in value or not value.isprintable()):
        raise ValueError("it is not an absolute path without colons")
    return value


def _cron(value: str) -> str:
    try:
        CronSim(value, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"it is not a cron expression ({error})") from error
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("no such time zone") from error
    return value


def _printable(value: str) -> str:
    if not value.isprintable() or value != value.strip() or not value:
        raise ValueError("it is empty, or has blanks around it or control characters in it")
    return value


Duration = Annotated[float, Unit.SECONDS, BeforeValidator(_seconds), AfterValidator(_finite), Field(ge=0)]
"""Seconds; 0 means something of its own."""
Lasting = Annotated[float, Unit.SECONDS, BeforeValidator(_seconds), AfterValidator(_finite), Field(gt=0)]
"""Seconds; 0 makes no sense."""
Days = Annotated[Duration, AfterValidator(_whole_days)]
"""Seconds, a whole number of days."""
Size = Annotated[int, Unit.BYTES, BeforeValidator(_bytes), Field(ge=0)]
"""Bytes."""
Amount = Annotated[float, AfterValidator(_finite), Field(ge=0)]
"""A number of at least 0, fractions allowed."""
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Runners = Annotated[Positive, AfterValidator(_conceivable)]
Port = Annotated[int, Field(ge=0, le=65535)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
Numbers = Annotated[tuple[Amount, ...], BeforeValidator(_tuple)]
Place = Annotated[str, AfterValidator(_place)]
"""A path on this host; empty means something of its own."""
FilePath = Annotated[Path, BeforeValidator(_path)]
SocketPath = Annotated[str, AfterValidator(_socket)]
EngineUrl = Annotated[str, AfterValidator(_engine)]
EngineUrls = Annotated[tuple[EngineUrl, ...], BeforeValidator(_tuple)]
WebUrl = Annotated[str, AfterValidator(_web)]
MountPath = Annotated[str, AfterValidator(_mount_path)]
Cron = Annotated[str, AfterValidator(_cron)]
Zone = Annotated[str, AfterValidator(_zone)]
Line = Annotated[str, AfterValidator(_printable)]
"""A text that is not empty and prints as it is."""
Lines = Annotated[tuple[Line, ...], BeforeValidator(_tuple)]
MaybeSecret = Secret | None

A_DURATION = 'a duration such as "90s", "10m" or "6h30m", or whole seconds'
A_SIZE = 'a size such as "10GiB" or "512MiB", or whole megabytes; 0 is off'
A_LASTING = 'a duration above 0 such as "90s", "10m" or "6h30m", or whole seconds'
AN_ENGINE = "a URL that begins with unix://, tcp:// or ssh://"
A_COUNT = "a whole number of at least 0"
A_NUMBER = "a number of at least 0"
MAYBE_INDIRECT = "a text, env:NAME or file:PATH"
A_TEXT = "a text"
A_SWITCH = "true or false"
TEXTS = "a list of texts"
A_TABLE = "a table of texts"
