"""The gauges of a scale set, out of its snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.metrics import arc, own
from runscaler.status import SetState, Unmet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.metrics.family import Family
    from runscaler.metrics.series import Labels
    from runscaler.status import ScaleSetStatus, Status

Sample = tuple["Family", "Labels", float]
STALLED_SECONDS = 180.0
"""How long an idle runner may get nothing while jobs wait (docs/behaviour.md § 6.5)."""
_RUNNING = ("idle", "busy", "adopted", "retiring")
_STATES = {
    SetState.STARTING: "connecting",
    SetState.OK: "running",
    SetState.STANDBY: "standby",
    SetState.DEGRADED: "degraded",
    SetState.DRAINING: "draining",
    SetState.FAILED: "failed",
    SetState.STOPPED: "draining",
}
_KINDS_OF_RUNNERS = {"docker": "container", "tart": "vm", "process": "process"}
_PAUSES = (Unmet.PAUSED, Unmet.HOST_GUARD)


def state_of(status: ScaleSetStatus) -> str:
    """One of `own.STATES`: a set that serves, but whose starts are held up on purpose, is paused."""
    if status.state is SetState.OK and any(one.reason in _PAUSES for one in status.unmet):
        return "paused"
    return _STATES[status.state]


def arc_samples(status: ScaleSetStatus) -> Iterator[tuple[Family, float]]:
    yield arc.ASSIGNED_JOBS, status.assigned_jobs
    yield arc.RUNNING_JOBS, status.running_jobs
    yield arc.REGISTERED_RUNNERS, status.registered_runners
    yield arc.BUSY_RUNNERS, status.busy_runners
    yield arc.IDLE_RUNNERS, status.idle_runners
    yield arc.MIN_RUNNERS, status.min
    yield arc.MAX_RUNNERS, status.max
    yield arc.DESIRED_RUNNERS, min(status.max, status.min + status.assigned_jobs)


def controller_samples(status: ScaleSetStatus) -> Iterator[tuple[Family, float]]:
    states = status.by_state
    yield arc.PENDING_RUNNERS, states.get("starting", 0)
    yield arc.RUNNING_RUNNERS, sum(states.get(one, 0) for one in _RUNNING)
    yield arc.FAILED_RUNNERS, sum(one.count for one in status.unmet if one.reason is Unmet.BACKOFF)
    yield arc.RUNNING_LISTENERS, int(status.session)


def own_samples(status: ScaleSetStatus, now: float) -> Iterator[Sample]:
    """`now` is in wall-clock seconds."""
    present = state_of(status)
    for state in own.STATES:
        yield own.STATE, (state,), int(state == present)
    for reason in status.degraded_by:
        yield own.DEGRADED, (str(reason),), 1
    yield from _unmet(status)
    for entry, in_force in status.windows:
        yield own.SCHEDULE_ACTIVE, (entry,), int(in_force)
    yield own.SESSION_UP, (), int(status.session)
    times = (
        (own.LAST_POLL, status.last_poll),
        (own.LAST_MESSAGE, status.last_message),
        (own.STATISTICS_AT, status.statistics_at),
        (own.IMAGE_CHECKED_AT, status.image_checked_at),
    )
    for family, at in times:
        if at is not None:
            yield family, (), at
    yield own.ANNOUNCED_CAPACITY, (), status.announced_capacity
    yield own.AVAILABLE_JOBS, (), status.available_jobs
    yield own.ACQUIRED_JOBS, (), status.acquired_jobs
    for state in own.SLOT_STATES:
        yield own.RUNNERS, (state,), status.by_state.get(state, 0)
    yield own.SLOTS, (), status.max
    yield own.TARGET, (), status.desired_runners
    yield own.STALLED, (), stalled(status, now)


def aging_samples(status: ScaleSetStatus, now: float) -> Iterator[Sample]:
    """What changes with time alone, while the snapshot stays the same."""
    if status.image_built_at is not None:
        yield own.IMAGE_AGE, (), max(0.0, now - status.image_built_at)


def orphans(status: Status) -> dict[Labels, float]:
    """Samples of `own.ORPHANS`: ended runners that could not be removed yet, where the kind of backend says
    what they are."""
    counts: dict[Labels, float] = {(kind,): 0 for kind in _KINDS_OF_RUNNERS.values()}
    for one in status.scale_sets:
        if (kind := _KINDS_OF_RUNNERS.get(one.backend)) is not None:
            counts[kind,] += one.leftovers
    return counts


def stalled(status: ScaleSetStatus, now: float) -> int:
    """Idle runners that have got nothing for three minutes while GitHub counts jobs that wait."""
    if not status.jobs_wait:
        return 0
    late = now - STALLED_SECONDS
    return sum(slot.state == "idle" and slot.since <= late for slot in status.slots)


def _unmet(status: ScaleSetStatus) -> Iterator[Sample]:
    """Each reason once: the planner may name one twice, with different details."""
    counts: dict[str, int] = {}
    for one in status.unmet:
        counts[str(one.reason)] = counts.get(str(one.reason), 0) + one.count
    for reason, count in counts.items():
        if count:
            yield own.UNMET, (reason,), count
