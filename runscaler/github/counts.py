"""Decodes GitHub's statistics, which are not always right (docs/protocol.md § 5.4, 10.6)."""

from __future__ import annotations

from runscaler.github.fields import Fields, JsonValue
from runscaler.github.messages import Statistics

MAX_COUNT = 1_000_000
"""No scale set has more of anything. A larger count is wrong (fault F68)."""


def statistics(value: JsonValue) -> Statistics | None:
    """None if there are none. Raises `ValueError` if the number to scale on is missing or one is absurd."""
    if value is None:
        return None
    fields = Fields(value, "statistics")
    fields.required("totalAssignedJobs")
    return Statistics(
        available=_count(fields, "totalAvailableJobs"),
        acquired=_count(fields, "totalAcquiredJobs"),
        assigned=_count(fields, "totalAssignedJobs"),
        running=_count(fields, "totalRunningJobs"),
        registered=_count(fields, "totalRegisteredRunners"),
        busy=_count(fields, "totalBusyRunners"),
        idle=_count(fields, "totalIdleRunners"),
    )


def _count(fields: Fields, key: str) -> int:
    number = fields.integer(key)
    if not 0 <= number <= MAX_COUNT:
        raise ValueError(f"{key} is {number}")
    return number


def statistics_if_readable(value: JsonValue) -> Statistics | None:
    """None also if they cannot be read: unknown, not zero."""
    try:
        return statistics(value)
    except ValueError:
        return None
