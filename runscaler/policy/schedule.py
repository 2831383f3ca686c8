"""Which limits are in force when: the windows of `schedule` (docs/behaviour.md § 4.2).

A window opens at the times of its cron expression in its time zone and stays open for its duration, which
is elapsed time: over a change of the clocks it ends an hour earlier or later by the clock on the wall. Of
several open windows the one that opened last is in force; of those that opened together, the last in the
list.

As with Debian's cron, a fixed time that does not exist, because the clocks go forward, is taken at the first
minute that does; one that comes twice, because they go back, is taken once, the first time. An expression
whose minutes or hours begin with `*` matches the clock on the wall, minute by minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim

from runscaler.status import Opening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.config.model import ScaleSetSettings, ScheduleWindow

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
SEARCHED_DAYS = 41 * 366
"""The fifth Monday of a February comes every 40 years at least; what does not come by then never does."""


@dataclass(frozen=True, slots=True)
class Limits:
    min_runners: int
    max_runners: int


@dataclass(frozen=True, slots=True)
class Timetable:
    """What is in force at a time. `window` is None while none is open, `next` while none is to come.

    `since` is the time that was asked for; all this may change at `until`, None for never.
    """

    since: float
    limits: Limits
    window: Opening | None = None
    next: Opening | None = None

    @property
    def until(self) -> float | None:
        closes = [] if self.window is None else [self.window.closes_at]
        opens = [] if self.next is None else [self.next.opens_at]
        return min((*closes, *opens), default=None)

    def holds_at(self, now: float) -> bool:
        """Is it still what it would be if it were made now? Not if the clock was set back."""
        return self.since <= now and (self.until is None or now < self.until)


def timetable(settings: ScaleSetSettings, now: float) -> Timetable:
    """What is in force at `now`, in wall-clock seconds."""
    own = Limits(settings.min_runners, settings.max_runners)
    entries = list(enumerate(settings.schedule, 1))
    last = [_opening(*entry, own, last_time(entry[1], now)) for entry in entries]
    following = [_opening(*entry, own, next_time(entry[1], now)) for entry in entries]
    is_open = [one for one in last if one is not None and now < one.closes_at]
    in_force = max(is_open, key=lambda one: (one.opens_at, one.entry), default=None)
    known = [one for one in following if one is not None]
    to_come = min(known, key=lambda one: (one.opens_at, -one.entry), default=None)
    limits = own if in_force is None else Limits(in_force.min, in_force.max)
    return Timetable(now, limits, in_force, to_come)


def largest_max(settings: ScaleSetSettings) -> int:
    """The largest max-runners that the schedule ever sets."""
    return max([settings.max_runners, *(window.max_runners or 0 for window in settings.schedule)])


def _opening(entry: int, window: ScheduleWindow, own: Limits, opens_at: float | None) -> Opening | None:
    if opens_at is None:
        return None
    least = own.min_runners if window.min_runners is None else window.min_runners
    most = own.max_runners if window.max_runners is None else window.max_runners
    return Opening(entry, opens_at, opens_at + window.duration, window.timezone, least, most)


def next_time(window: ScheduleWindow, now: float) -> float | None:
    """The first time after `now` that the window opens; None: never."""
    days = _days_from(window, now, -DAY, DAY)
    return next(
        (min(after) for day in days if (after := [at for at in _times(window, day) if at > now])), None
    )


def last_time(window: ScheduleWindow, now: float) -> float | None:
    """The last time that the window opened, `now` included; None: never."""
    days = _days_from(window, now, DAY, -DAY)
    return next(
        (max(past) for day in days if (past := [at for at in _times(window, day) if at <= now])), None
    )


def _days_from(window: ScheduleWindow, now: float, first: timedelta, step: timedelta) -> Iterator[date]:
    """The days on which it opens, from the day of `now` and `first` on, forward or back."""
    cron = _parsed(window.cron)
    today = datetime.fromtimestamp(now, ZoneInfo(window.timezone)).date() + first
    days = (today + number * step for number in range(SEARCHED_DAYS))
    return (day for day in days if day.month in cron.months and cron.match_day(day))


def _times(window: ScheduleWindow, day: date) -> Iterator[float]:
    """The times on such a day, in no order."""
    cron, zone = _parsed(window.cron), ZoneInfo(window.timezone)
    is_fixed = not any(field.startswith("*") for field in window.cron.split()[:2])
    for hour, minute in product(cron.hours, cron.minutes):
        local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
        if is_fixed:
            yield _first_that_exists(local).timestamp()
        else:
            yield from {one.timestamp() for one in (local, local.replace(fold=1)) if _exists(one)}


def _first_that_exists(local: datetime) -> datetime:
    while not _exists(local):
        local += MINUTE
    return local


def _exists(local: datetime) -> bool:
    """Does the clock on the wall ever show it?"""
    return local == local.astimezone(UTC).astimezone(local.tzinfo)


@lru_cache(maxsize=256)
def _parsed(cron: str) -> CronSim:
    """For what its fields match only: its own iterator goes wrong where clocks change by half an hour."""
    return CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
