"""What a fault is: a row of the table, and a fault that was set (docs/protocol.md § 9.6, 10)."""

from __future__ import annotations

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
    """Which requests a fault is about; an empty field fits all. `path` is a part of the path (with a
    final `$`: its end), `runner` a shell pattern over runner names."""

    method: str = ""
    path: str = ""
    scale_set: str = ""
    runner: str = ""

    def fits_path(self, path: str) -> bool:
        return path.endswith(self.path[:-1]) if self.path.endswith("$") else self.path in path


@dataclass(frozen=True, slots=True)
class FaultContext:
    """Where a fault acts. `request` is None when it acts at the moment it is set."""

    lock: MachineLock
    fault: Fault
    request: Request | None = None
    scale_set: ScaleSet | None = None

    @property
    def params(self) -> Fields:
        return self.fault.params


def any_success(reply: Reply) -> bool:
    """Most faults that spoil a reply have something to spoil only then."""
    return reply.status in (200, 201)


def always(reply: Reply) -> bool:
    return reply.status >= 0


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of fault: what it does before the call is answered, to the answer, or when it is set."""

    name: str
    about: str
    match: Match = field(default_factory=Match)
    count: int | None = 1
    before: Callable[[FaultContext], Outcome | None] | None = None
    after: Callable[[FaultContext, Reply], Outcome] | None = None
    fits: Callable[[Reply], bool] = any_success
    """Whether `after` has anything to do with this answer; others do not count as hits."""
    begin: Callable[[FaultContext], None] | None = None
    end: Callable[[FaultContext], None] | None = None
    counts_own_hits: bool = False
    """Being set is no hit yet: `begin` only prepares what counts its own."""


@dataclass(slots=True, eq=False)
class Fault:
    """A fault that was set. `seen` requests matched, the first `after` of them were spared."""

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
