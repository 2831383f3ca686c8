"""Checks of the values in `schedule`: what is wrong with a cron expression, and which time zone was meant.

The text of each ValueError is shown to the user as the reason.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from runscaler.config.problems import nearest, shown

FIELDS = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day of the month": "1 to 31",
    "month": "1 to 12 or JAN to DEC",
    "day of the week": "0 to 7 or SUN to SAT",
}
NO_RUNNERS = (
    "GitHub may never again offer a job that is queued against 0; "
    "for a time without jobs use runner drain and runner resume"
)


def cron_expression(value: str) -> str:
    fields = value.split()
    if len(fields) != len(FIELDS):
        raise ValueError(f"it has {len(fields)} field{'s' * (len(fields) != 1)}")
    for place, (name, range_) in enumerate(FIELDS.items()):
        if not _is_cron(["*"] * place + [fields[place]] + ["*"] * (4 - place)):
            raise ValueError(f"its {name} is {shown(fields[place])}, not within {range_}")
    if not _is_cron(fields):
        raise ValueError("there is no such day in these months")
    return value


def _is_cron(fields: list[str]) -> bool:
    try:
        CronSim(" ".join(fields), datetime(2000, 1, 1, tzinfo=UTC))
    except (CronSimError, ValueError):  # a number of thousands of digits
        return False
    return True


def time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        guess = _nearest_zone(value)
        hint = f"; did you mean {guess}?" if guess else ""
        raise ValueError(f"there is no such time zone{hint}") from error
    return value


def _nearest_zone(value: str) -> str:
    """A zone by its whole name, or by that of its city."""
    zones = {name.lower(): name for name in sorted(available_timezones())}
    cities = {name.rpartition("/")[2]: zone for name, zone in zones.items()}
    word = value.strip().replace(" ", "_")
    known = {**cities, **zones}
    return known.get(nearest(word, known), "")


def above_zero(value: int) -> int:
    if value == 0:
        raise ValueError(NO_RUNNERS)
    return value
