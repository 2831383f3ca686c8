"""What cannot be quite right, and since when: lying statistics, mute sessions, ghosts, runners that
get no job (docs/behaviour.md § 6.5; faults F66 to F80). Each doubt needs time or a second sign before anything
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
"""Between two looks that must both find a registration gone (docs/protocol.md § 8.4)."""
STARVED_SECONDS = 180.0
"""Idle runners that get nothing while jobs are assigned are replaced after this."""
LASTING_SECONDS = 600.0
"""Where replacing has not helped for so long, the counts themselves are in doubt (fault F67)."""


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
    """Since when idle runners stand beside assigned jobs; None while all is as it should be.

    `since` begins again when some are replaced, `first` only when a job starts or none waits.
    """

    since: float | None = None
    first: float | None = None
    logged: bool = False

    def seen(self, now: float, waiting: int, idle: int) -> Self:
        """`waiting` jobs are assigned and not running, `idle` runners could take them."""
        if not waiting:
            return self.job_started()
        if not idle:
            return replace(self, since=None)
        since = now if self.since is None else self.since
        return replace(self, since=since, first=since if self.first is None else self.first)

    def replaced(self) -> Self:
        """Others stand there now: they get their time."""
        return replace(self, since=None)

    def job_started(self) -> Self:
        """A job started: whoever is idle will have his turn."""
        return type(self)()

    def is_lasting(self, now: float) -> bool:
        """For the first time, see `as_logged`."""
        return not self.logged and self.first is not None and now - self.first >= LASTING_SECONDS

    def as_logged(self) -> Self:
        return replace(self, logged=True)

    def calls_for_replacement(self, now: float, jitter: float) -> bool:
        """Never once it is told that replacing does not help: that would go on for ever."""
        return not self.logged and self.since is not None and now - self.since >= STARVED_SECONDS + jitter


def to_replace(idle: int) -> int:
    """How many of the idle runners to replace at once: a quarter, at least one."""
    return ceil(idle / 4)
