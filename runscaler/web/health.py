"""The JSON bodies of `/healthz` and `/readyz`, made from a snapshot (docs/behaviour.md § 9.1, 9.2)."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING

from runscaler.status import HEALTHZ_KEY, SetState, StartPhases
from runscaler.units import format_uptime, in_zone

if TYPE_CHECKING:
    from runscaler.status import (
        Counters,
        Opening,
        ScaleSetStatus,
        SlotStatus,
        Status,
        UnmetDemand,
    )

Json = dict[str, object]
_PHASES = tuple(one.name for one in fields(StartPhases))


def health(status: Status, now: float) -> Json:
    """The body of `/healthz`, with the pid of this process. All keys are always present.

    `now` is in wall-clock seconds.
    """
    return {
        **overall_json(status, now),
        "scale_sets": [
            {**scale_set_json(one, now), "slots": [slot_json(slot, now) for slot in one.slots]}
            for one in status.scale_sets
        ],
    }


def overall_json(status: Status, now: float) -> Json:
    """All of it but the scale sets."""
    return {
        "status": _overall(status),
        "version": status.version,
        "pid": os.getpid(),
        "uptime": format_uptime(max(0.0, now - status.started_at)),
        "reason": status.given_up,
        "restarts": dict(status.restarts),
    }


def not_ready(status: Status) -> list[str]:
    """Names of the scale sets that neither serve nor report why they do not; `/readyz` waits for them."""
    return [one.name for one in status.scale_sets if one.state in {SetState.STARTING, SetState.STOPPED}]


def _overall(status: Status) -> str:
    if status.given_up:
        return "failed"
    return "degraded" if status.degraded else "ok"


def scale_set_json(one: ScaleSetStatus, now: float) -> Json:
    """One of `scale_sets` without its `slots`."""
    return {
        "name": one.name,
        "url": one.url,
        "runner_group": one.runner_group,
        "backend": one.backend,
        "state": one.state.value,
        "reason": one.reason,
        "state_seconds": _seconds_since(one.state_since, now),
        "waiting_seconds": _seconds_since(one.waiting_since, now),
        "retry_seconds": None if one.retry_at is None else round(max(0.0, one.retry_at - now), 1),
        "idle": one.idle,
        "busy": one.busy,
        "starting": one.starting,
        "total": one.total,
        "min": one.min,
        "max": one.max,
        "schedule": {"window": _opening(one.window), "next": _opening(one.next_window)},
        "unmet": [_unmet(unmet, now) for unmet in one.unmet],
        "runners_failed": one.counters.runners_failed,
        "runners_lost": one.counters.runners_lost,
        "restarts": one.restarts,
        "last_poll_seconds": _seconds_since(one.last_poll, now),
        "image_age_days": None if one.image_built_at is None else _whole_days(now - one.image_built_at),
        "metrics": {
            **_counters(one.counters),
            "desired_runners": one.desired_runners,
            "available_jobs": one.available_jobs,
            "assigned_jobs": one.assigned_jobs,
            "running_jobs": one.running_jobs,
        },
        "typical_start_seconds": _phases(one.typical_start),
    }


def _seconds_since(at: float | None, now: float) -> float | None:
    return None if at is None else round(max(0.0, now - at), 1)


def _whole_days(seconds: float) -> int:
    return int(max(0.0, seconds) // 86_400)


def _unmet(one: UnmetDemand, now: float) -> Json:
    look = None if one.look_at is None else round(max(0.0, one.look_at - now), 1)
    return {"reason": one.reason.value, "count": one.count, "detail": one.detail, "look_seconds": look}


def _opening(one: Opening | None) -> Json | None:
    """Times are ISO 8601, in the time zone of the window."""
    if one is None:
        return None
    return {
        "entry": one.entry,
        "min": one.min,
        "max": one.max,
        "opens": in_zone(one.opens_at, one.timezone).isoformat(),
        "closes": in_zone(one.closes_at, one.timezone).isoformat(),
        "timezone": one.timezone,
    }


def slot_json(one: SlotStatus, now: float) -> Json:
    """One of `slots`. Written out, as `asdict` of a thousand origins takes ten times as long."""
    origin = one.origin
    return {
        "slot": one.slot,
        "state": one.state,
        "seconds": round(max(0.0, now - one.since), 1),
        "runner": one.runner,
        "job": one.job,
        "repository": origin.repository,
        "workflow": origin.workflow,
        "workflow_run_id": origin.workflow_run_id,
        "start_seconds": _phases(one.phases),
    }


def _phases(phases: StartPhases) -> Json:
    """Each phase in seconds, null where it is not over or there is none."""
    took = ((name, getattr(phases, name)) for name in _PHASES)
    return {name: None if seconds is None else round(seconds, 3) for name, seconds in took}


def _counters(counters: Counters) -> Json:
    """The counters that declare a key for `/healthz`, in the order of their declaration."""
    return {
        one.metadata[HEALTHZ_KEY]: getattr(counters, one.name)
        for one in fields(counters)
        if HEALTHZ_KEY in one.metadata
    }
