"""What the host's guards see and do, as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.metrics import own

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.config.model import HostSettings
    from runscaler.metrics.metrics import Metrics
    from runscaler.policy.host_guard import Measurement, Shortage

_GUARDS = {"memory": "free memory", "disk": "free disk", "load": "load"}
"""How `Shortage.what` begins, by guard."""


def publish_guards(metrics: Metrics, limits: HostSettings, short: Iterable[Shortage]) -> None:
    """Those that are set; the cap's own state is published with `publish_cap`."""
    thresholds = {"memory": limits.min_free_memory, "disk": limits.min_free_disk, "load": limits.max_load}
    found = [one.what for one in short]
    for guard, limit in thresholds.items():
        active = any(what.startswith(_GUARDS[guard]) for what in found)
        metrics.publish_one(own.GUARD_THRESHOLD, limit, guard)
        metrics.publish_one(own.GUARD_ACTIVE, int(active), guard)


def publish_cap(metrics: Metrics, cap: int, *, reached: bool) -> None:
    """`reached`: runners wait, as so many are there as may be."""
    metrics.publish_one(own.GUARD_THRESHOLD, cap, "max_runners")
    metrics.publish_one(own.GUARD_ACTIVE, int(reached), "max_runners")


def publish_disks(metrics: Metrics, measured: Measurement) -> None:
    metrics.publish(own.HOST_DISK, {(disk.path,): disk.free for disk in measured.disks})
