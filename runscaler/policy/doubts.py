"""What cannot be quite right, and since when: lying statistics, mute sessions, ghosts, runners that
get no job (spec.md 6.5; faults F66 to F80). Each doubt needs time or a second sign before anything
is done about it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from runscaler.names import SlotNumber

MUTE_SECONDS = 150.0
"""Three long polls without one that ended: the session is cut and opened anew."""
GHOST_SECONDS = 60.0
"""Between two looks that must both find a registration gone (protocol.md 8.4)."""
STARVED_SECONDS = 180.0
"""Idle runners that get nothing while jobs are assigned are replaced after this."""


def contradicts(assigned: int, running: int, newly_assigned: int) -> bool:
    """Statistics of nothing at all beside jobs that were just assigned (fault F66)."""
    return newly_assigned > 0 and assigned == 0 and running == 0


def is_mute(now: float, last_poll: float | None) -> bool:
    """Has no poll come back for three poll lengths?"""
    return last_poll is not None and now - last_poll >= MUTE_SECONDS


@dataclass(frozen=True, slots=True)
class Absence:
    """A registration that GitHub did not know: `since` when (monotonic)."""

    slot: SlotNumber
    generation: int
    since: float

    def confirmed(self, now: float) -> bool:
        """Seen again, long enough after the first time?"""
        return now - self.since >= GHOST_SECONDS


@dataclass(frozen=True, slots=True)
class Starvation:
    """Since when idle runners stand beside assigned jobs; None while all is as it should be."""

    since: float | None = None

    def seen(self, now: float, waiting: int, idle: int) -> Self:
        """`waiting` jobs are assigned and not running, `idle` runners could take them."""
        if not waiting or not idle:
            return replace(self, since=None)
        return self if self.since is not None else replace(self, since=now)

    def fed(self) -> Self:
        """A job started: whoever is idle will have his turn."""
        return replace(self, since=None)

    def is_over_the_line(self, now: float, jitter: float) -> bool:
        return self.since is not None and now - self.since >= STARVED_SECONDS + jitter


def to_replace(idle: int) -> int:
    """How many of the idle runners to replace at once: a quarter, at least one."""
    return ceil(idle / 4)
