"""The rows of the fault table, and faults that are set (docs/protocol.md § 9.6, 10)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.simulator.faults.broken_reply import BrokenReply
    from runscaler.simulator.http_messages import Fields, Reply, Request
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.records import ScaleSet

Outcome: TypeAlias = "Reply | BrokenReply"


@dataclass(frozen=True, slots=True)
class Match:
    """The requests that a fault applies to; an empty field matches all. `path` is a part of the path, or
    with a final `$` its end; `#` stands for a number. `runner` is a shell pattern for runner names."""

    method: str = ""
    path: str = ""
    scale_set: str = ""
    runner: str = ""

    def fits_path(self, path: str) -> bool:
        pattern = re.escape(self.path.removesuffix("$")).replace(r"\#", r"\d+")
        return bool(re.search(f"{pattern}$" if self.path.endswith("$") else pattern, path))


@dataclass(frozen=True, slots=True)
class FaultContext:
    """What a fault acts on. `request` is None for faults that act when they are set or removed."""

    lock: MachineLock
    fault: Fault
    request: Request | None = None
    scale_set: ScaleSet | None = None

    @property
    def params(self) -> Fields:
        return self.fault.params


def any_success(reply: Reply) -> bool:
    """The default of `Row.fits`."""
    return reply.status in (200, 201)


def always(reply: Reply) -> bool:
    return reply.status >= 0


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of fault. `before` may answer in place of the API, `after` changes the API's reply, `begin`
    and `end` run when the fault is set and removed."""

    name: str
    about: str
    match: Match = field(default_factory=Match)
    count: int | None = 1
    before: Callable[[FaultContext], Outcome | None] | None = None
    after: Callable[[FaultContext, Reply], Outcome] | None = None
    fits: Callable[[Reply], bool] = any_success
    """Whether `after` applies to this reply; others do not count as hits."""
    begin: Callable[[FaultContext], None] | None = None
    end: Callable[[FaultContext], None] | None = None
    counts_own_hits: bool = False
    """`begin` counts hits itself, later; setting the fault is not a hit."""


@dataclass(slots=True, eq=False)
class Fault:
    """A fault that is set. It skips the first `after` matching requests, then applies at most `count`
    times; `seen` counts matching requests."""

    id: int
    row: Row
    match: Match
    params: Fields
    count: int | None
    after: int = 0
    probability: float = 1.0
    seen: int = 0
    hits: int = 0

    @property
    def exhausted(self) -> bool:
        return self.count is not None and self.hits >= self.count
