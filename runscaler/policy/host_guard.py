"""Is this host so short of memory or disk, or so busy, that no runner may start (docs/behaviour.md § 6.4)?

What is short stays so until there is a margin more than the limit, so that starts do not stop and go at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from runscaler.config.model import HostSettings

MARGIN, LARGEST_MARGIN = 0.1, 1024**3
"""The margin is a tenth of the limit; of memory and disk 1 GiB at most."""


@dataclass(frozen=True, slots=True)
class Disk:
    """`free` bytes are left on the disk on which `path` lies."""

    path: str
    free: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured on this host; None or no disk where that is not known. Bytes, and the one-minute load
    average."""

    free_memory: int | None = None
    disks: tuple[Disk, ...] = ()
    load: float | None = None


@dataclass(frozen=True, slots=True)
class Shortage:
    """`what` is short, said in `words` for people."""

    what: str
    words: str


def shortages(limits: HostSettings, measured: Measurement, before: Collection[str]) -> tuple[Shortage, ...]:
    """What is short now. `before` are those that were, by `what`: for them the margin counts."""
    return (
        *_memory(limits, measured, before),
        *_disks(limits, measured, before),
        *_load(limits, measured, before),
    )


def _memory(limits: HostSettings, measured: Measurement, before: Collection[str]) -> Iterator[Shortage]:
    if measured.free_memory is not None:
        name = "free memory"
        yield from _too_little(name, measured.free_memory, "min-free-memory", limits.min_free_memory, before)


def _disks(limits: HostSettings, measured: Measurement, before: Collection[str]) -> Iterator[Shortage]:
    for disk in measured.disks:
        floor = limits.min_free_disk
        yield from _too_little("free disk", disk.free, "min-free-disk", floor, before, disk.path)


def _load(limits: HostSettings, measured: Measurement, before: Collection[str]) -> Iterator[Shortage]:
    load, limit = measured.load, limits.max_load
    if load is None or not limit:
        return
    if load > limit:
        yield Shortage("load", f"load {load:.1f} is above max-load {limit:g}")
    elif "load" in before and load > limit * (1 - MARGIN):
        again = f"starts go on at {limit * (1 - MARGIN):g}"
        yield Shortage("load", f"load {load:.1f} is just below max-load {limit:g}; {again}")


def _too_little(
    name: str, free: int, key: str, floor: int, before: Collection[str], path: str = ""
) -> Iterator[Shortage]:
    what = f"{name} {path}".rstrip()
    enough = floor + min(floor * MARGIN, LARGEST_MARGIN)
    place = f" ({path})" if path else ""
    if free < floor:
        yield Shortage(what, f"{name} {_unlike(free, floor)} is below {key} {format_bytes(floor)}{place}")
    elif what in before and free < enough:
        again = f"starts go on at {format_bytes(enough)}"
        yield Shortage(
            what, f"{name} {format_bytes(free)} is just above {key} {format_bytes(floor)}; {again}{place}"
        )


def _unlike(free: int, floor: int) -> str:
    """The number in words, which are not those of the other one."""
    words = format_bytes(free)
    return words if words != format_bytes(floor) else f"just under {words}"
