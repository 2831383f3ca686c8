"""What is free on this host: for the limits of [host], the dashboard and the metrics.

Each raises what the system raises where it does not tell (`UNTOLD`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
UNTOLD = (OSError, psutil.Error, NotImplementedError)


def told(measure: Callable[[], T]) -> T | None:
    """What it measures; None where the system does not tell."""
    try:
        return measure()
    except UNTOLD:
        return None


class Memory(NamedTuple):
    """Bytes."""

    size: int
    available: int


class Disk(NamedTuple):
    """Bytes; `device` tells disks apart."""

    device: int
    size: int
    free: int


def load() -> float:
    """Processes that run or wait for a processor, over the last minute."""
    return psutil.getloadavg()[0]


def memory() -> Memory:
    facts = psutil.virtual_memory()
    return Memory(facts.total, facts.available)


def disk(path: Path) -> Disk:
    """The one on which the path lies, or would lie."""
    while True:
        try:
            usage = psutil.disk_usage(str(path))
            return Disk(path.stat().st_dev, usage.total, usage.free)
        except (FileNotFoundError, PermissionError):
            if path == path.parent:
                raise
            path = path.parent
