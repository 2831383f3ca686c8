"""Contradictions, and when they become a reason to act (docs/behaviour.md § 6.5; faults F66 to F80).

Statistics that contradict their batch, sessions without polls, runners whose registration is gone, idle
runners that get no job. Each needs time or a second sign before anything is done about it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from runscaler.names import SlotNumber

MUTE_SECONDS = 150.0
"""Three poll lengths without a completed poll: the session is given up and opened anew."""
GHOST_SECONDS = 60.0
"""Between two checks that must both find a registration absent (docs/protocol.md § 8.4)."""
ONLINE_SECONDS = 90.0
"""A runner that has been up for so long must be connected to GitHub (docs/behaviour.md § 5.1)."""
COUNTS_AGE_SECONDS = 10.0
"""GitHub's counts may be so old when they come: they prove nothing about a runner that is younger."""
FRESH_SECONDS = 60.0
"""GitHub's counts are taken as proof for so long; then they are refreshed."""
STARVED_SECONDS = 180.0
"""Idle runners that get nothing while jobs are assigned are replaced after this."""
LEAST_CHECKS = 5
"""Registrations looked at in one round where nothing contradicts, so that a thousand cost GitHub no storm."""
LASTING_SECONDS = 600.0
"""Where replacing has not helped for so long, the counts themselves are in doubt (fault F67)."""


def contradicts(assigned: int, running: int, newly_assigned: int) -> bool:
    """Do statistics count no job at all beside jobs that were just assigned (fault F66)?"""
    return newly_assigned > 0 and assigned == 0 and running == 0


def missing_runners(running: int, registered: int, busy: int, live: int) -> int:
    """How many runners GitHub's counts contradict: fewer `running` than we hold for `busy`, or fewer
    `registered` than we have alive."""
    return max(0, busy - running, live - registered)


def checks_at_once(live: int, missing: int) -> int:
    """How many registrations to look at in one round: as many as are missing, at most a quarter of all."""
    return max(LEAST_CHECKS, min(missing, ceil(live / 4)))


def is_mute(now: float, last_poll: float | None) -> bool:
    """Has no poll been completed for three poll lengths? Times are monotonic."""
    return last_poll is not None and now - last_poll >= MUTE_SECONDS


@dataclass(frozen=True, slots=True)
class Absence:
    """A registration that GitHub did not know when it was first checked, at `since` (monotonic)."""

    slot: SlotNumber
    generation: int
    since: float

    def confirmed(self, now: float) -> bool:
        """Is it absent again, long enough after the first time?"""
        return now - self.since >= GHOST_SECONDS


@dataclass(frozen=True, slots=True)
class Starvation:
    """Idle runners beside jobs that wait. Times are monotonic, None while there is no such situation.

    `since` begins anew when runners are replaced or none waits, `first` when a job starts, too.
    `logged`: it was said that replacing them does not help.
    """

    since: float | None = None
    first: float | None = None
    logged: bool = False

    def seen(self, now: float, waiting: int, idle: int) -> Self:
        """`waiting` jobs are assigned and not running, `idle` runners could take them."""
        if not waiting:
            return type(self)()
        if not idle:
            return replace(self, since=None)
        since = now if self.since is None else self.since
        return replace(self, since=since, first=since if self.first is None else self.first)

    def replaced(self) -> Self:
        """Some runners were replaced: the new ones get their time."""
        return replace(self, since=None)

    def job_started(self) -> Self:
        """Replacing has helped, or was not needed. Runners that get nothing still get nothing."""
        return replace(self, first=None, logged=False)

    def is_lasting(self, now: float) -> bool:
        """Has replacing runners not helped for so long? Only until `as_logged`."""
        return not self.logged and self.first is not None and now - self.first >= LASTING_SECONDS

    def as_logged(self) -> Self:
        return replace(self, logged=True)

    def calls_for_replacement(self, now: float, jitter: float) -> bool:
        """Are some runners to be replaced? Never again once it was logged that replacing does not help."""
        return not self.logged and self.since is not None and now - self.since >= STARVED_SECONDS + jitter


def to_replace(idle: int) -> int:
    """How many of the idle runners to replace at once: a quarter, at least one."""
    return ceil(idle / 4)
