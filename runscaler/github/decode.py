"""Decodes bodies of the actions service (docs/protocol.md § 4.3).

All functions raise `ValueError`, which says what cannot be read.
"""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.config.secrets import Secret
from runscaler.github.base import JitConfig, ScaleSetId, Session, SessionId
from runscaler.github.batches import job_available
from runscaler.github.counts import statistics_if_readable
from runscaler.github.fields import Fields, JsonValue, whole_number
from runscaler.github.messages import RegisteredRunner, RunnerScaleSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.github.messages import JobAvailable
    from runscaler.names import RunnerName


@dataclass(frozen=True, slots=True)
class RunnerGroup:
    """A runner group at GitHub. A repository has only the default one."""

    id: int
    name: str


def scale_set(value: JsonValue) -> RunnerScaleSet:
    fields = Fields(value, "the scale set")
    return RunnerScaleSet(
        id=fields.required("id"),
        name=fields.text("name"),
        runner_group_id=fields.info_number("runnerGroupId"),
        runner_group_name=fields.info_text("runnerGroupName"),
        labels=_labels(fields.raw("labels")),
        statistics=statistics_if_readable(fields.raw("statistics")),
        updates_disabled=_updates_disabled(fields.raw("RunnerSetting")),
    )


def _labels(value: JsonValue) -> tuple[str, ...] | None:
    """Their names; None, as the reply tells nothing, if they are not a list."""
    if not isinstance(value, list):
        return None
    names = (Fields(each).info_text("name") if isinstance(each, dict) else "" for each in value)
    return tuple(name for name in names if name)


def _updates_disabled(setting: JsonValue) -> bool | None:
    disabled = Fields(setting).raw("disableUpdate") if isinstance(setting, dict) else None
    return disabled if isinstance(disabled, bool) else None


def scale_set_if_any(value: JsonValue) -> RunnerScaleSet | None:
    """None for a body of `null`, which means "not found" (docs/protocol.md § 4.2)."""
    return None if value is None else scale_set(value)


def elements_of(value: JsonValue) -> list[JsonValue]:
    """The elements of a list: as many as its `count` says, even if there are more."""
    fields = Fields(value)
    elements = fields.elements("value")
    count = fields.integer("count", len(elements))
    if count > len(elements):
        raise ValueError(f"count is {count}, but there are {len(elements)} values")
    return elements[:count]


def runner(value: JsonValue) -> RegisteredRunner:
    fields = Fields(value, "the runner")
    busy = fields.raw("busy")
    return RegisteredRunner(
        id=fields.required("id"),
        name=fields.text("name"),
        scale_set_id=fields.info_number("runnerScaleSetId"),
        status=fields.info_text("status"),
        busy=busy if isinstance(busy, bool) else None,
    )


def runner_group(value: JsonValue) -> RunnerGroup:
    fields = Fields(value, "the runner group")
    return RunnerGroup(fields.required("id"), fields.text("name"))


def session(
    value: JsonValue,
    scale_set_id: ScaleSetId,
    known: SessionId | None,
    refresh_at: Callable[[str], float | None],
) -> Session:
    """A session of that scale set. Its queue URL and token may be empty (fault F38); the caller checks.

    `known` is its id, for a reply without one. `refresh_at` says when the queue token must be refreshed, in
    monotonic seconds.
    """
    fields = Fields(value, "the session")
    token = fields.text("messageQueueAccessToken")
    return Session(
        id=SessionId(fields.text("sessionId") or known or ""),
        scale_set_id=scale_set_id,
        queue_url=fields.text("messageQueueUrl"),
        queue_token=Secret(token),
        statistics=statistics_if_readable(fields.raw("statistics")),
        refresh_at=refresh_at(token),
    )


def jit_config(value: JsonValue, name: RunnerName) -> JitConfig:
    """The JIT configuration for that runner. The runner's id must be there, the configuration must be base64
    (fault F73)."""
    fields = Fields(value)
    registration = Fields(fields.raw("runner"), "runner")
    encoded = fields.text("encodedJITConfig")
    try:
        whole = bool(base64.b64decode(encoded, validate=True))
    except binascii.Error:
        whole = False
    if not whole:
        raise ValueError("encodedJITConfig is not base64")
    return JitConfig(registration.required("id"), name, Secret(encoded))


def runner_groups(value: JsonValue) -> list[RunnerGroup]:
    return [runner_group(each) for each in elements_of(value)]


def scale_sets(value: JsonValue) -> list[RunnerScaleSet]:
    return [scale_set(each) for each in elements_of(value)]


def runners(value: JsonValue) -> list[RegisteredRunner]:
    return [runner(each) for each in elements_of(value)]


def available_jobs(value: JsonValue) -> tuple[JobAvailable, ...]:
    """The jobs that may be acquired; none if the body is empty. One that cannot be read is left out."""
    jobs = []
    for each in [] if value is None else elements_of(value):
        with suppress(ValueError):
            jobs.append(job_available(Fields(each, "the job")))
    return tuple(jobs)


def acquired_jobs(value: JsonValue) -> tuple[int, ...]:
    numbers = (whole_number(each) for each in elements_of(value))
    return tuple(each for each in numbers if each is not None)


def nothing(_value: JsonValue) -> None:
    """For calls whose body says nothing."""
