"""Statistics as GitHub counts them (docs/protocol.md § 5.4, 10.6)."""

from __future__ import annotations

from runscaler.github.fields import Fields, JsonValue
from runscaler.github.messages import Statistics

MOST_COUNTED = 1_000_000
"""A larger count than any scale set can have: GitHub is lying (fault F68)."""


def statistics(value: JsonValue) -> Statistics | None:
    """None where there are none; the number to scale on must be there, and no count be absurd."""
    if value is None:
        return None
    fields = Fields(value, "statistics")
    fields.needed("totalAssignedJobs")
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
    if not 0 <= number <= MOST_COUNTED:
        raise ValueError(f"{key} is {number}")
    return number


def statistics_if_readable(value: JsonValue) -> Statistics | None:
    """Unreadable counts are as good as none: unknown, never zero."""
    try:
        return statistics(value)
    except ValueError:
        return None
