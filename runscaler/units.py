"""Durations and sizes as users write them; seconds and bytes inside the program."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
LONGEST = 40
"""Characters of a duration or size: no longer text is one."""


def parse_duration(text: str) -> float:
    """Seconds of a Go-style duration ("90s", "6h30m", "1.5h", "0"). Raises ValueError."""
    if len(text) > LONGEST:
        raise ValueError(f"{text[:LONGEST]!r}… is too long for a duration")
    stripped = text.strip().removeprefix("+")
    if stripped == "0":
        return 0.0
    if stripped.startswith("-"):
        raise ValueError(f"{text!r} is negative")
    parts = _PART.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise ValueError(f'{text!r} is not a duration: write it like "90s", "10m" or "6h30m"')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """The shortest Go-style text: 90 → "1m30s", 0 → "0s", 0.25 → "250ms"."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    whole, fraction = divmod(round(seconds, 3), 1)
    minutes, rest = divmod(int(whole), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if minutes else ""
    if rest or fraction or not text:
        text += f"{rest + round(fraction, 3):g}s"
    return text


def format_uptime(seconds: float) -> str:
    """Whole seconds in the format of the Go tool: "1h2m3s", "2m0s", "7s"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def in_zone(at: float, timezone: str) -> datetime:
    """Wall-clock seconds as the clock in that time zone shows them."""
    return datetime.fromtimestamp(at, ZoneInfo(timezone))


def format_time(local: datetime, *, unless: datetime | None = None) -> str:
    """To the minute: "Mon 2026-11-30 08:00"; without the date if that is the same as of `unless`."""
    return f"{local:%H:%M}" if unless and unless.date() == local.date() else f"{local:%a %Y-%m-%d %H:%M}"


def format_bytes(count: float) -> str:
    """Binary units with at most one decimal place: 1536 → "1.5 KiB"."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f}".removesuffix(".0") + f" {unit}"
        size /= 1024
    return f"{size:.1f}".removesuffix(".0") + " TiB"


_SIZES = {"": 1024**2, "B": 1}
_SIZES |= {f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)}
_SIZES |= {f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)}
_SIZES |= {letter: 1024**power for power, letter in enumerate("KMGT", 1)}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")


def parse_size(text: str) -> int:
    """Bytes of "10GiB", "512 MB", "1.5G" (binary) or a bare number of megabytes. Raises ValueError."""
    if len(text) > LONGEST:
        raise ValueError(f"{text[:LONGEST]!r}… is too long for a size")
    match = _SIZE.fullmatch(text.strip())
    units = {unit.lower(): size for unit, size in _SIZES.items()}
    if match is None or match[2].lower() not in units:
        raise ValueError(f'{text!r} is not a size: write it like "512MiB" or "10GiB"')
    return int(float(match[1]) * units[match[2].lower()])
