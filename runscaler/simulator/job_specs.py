"""Reading job specifications from the bodies of the control API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.http_messages import BadBody, Fields
from runscaler.simulator.records import JobSpec, Step
from runscaler.simulator.scopes import default_repository

if TYPE_CHECKING:
    from runscaler.simulator.store import Store


def read_job_spec(store: Store, body: Fields) -> JobSpec:
    """The job is for the scale set named `scaleSet`, or has these `labels`; `scope` is needed only where
    it does not follow from them."""
    labels = body.texts("labels") or (body.text("scaleSet"),)
    scope = body.text("scope", "").lower() or scope_for(store, labels[0])
    steps = tuple(read_step(each, index) for index, each in enumerate(body.items("steps"), start=1))
    return JobSpec(
        scope=scope,
        labels=labels,
        steps=steps or (Step("hello", "echo hello"),),
        count=body.integer("count", 1),
        display_name=body.text("displayName", "build"),
        repository=body.text("repository", "") or default_repository(store.places.name(scope)),
        env=tuple((key, str(value)) for key, value in pairs(body, "env")),
        secrets=body.texts("secrets"),
        timeout_seconds=body.number("timeoutSeconds", 21600.0),
        event_name=body.text("eventName", "push"),
    )


def read_step(value: object, number: int) -> Step:
    """A step is an object as in docs/protocol.md § 9.5, or just the text of its script."""
    if isinstance(value, str):
        return Step(f"step {number}", value)
    step = Fields.of(value)
    return Step(
        name=step.text("name", f"step {number}"),
        run=step.text("run"),
        shell=step.text("shell", "sh"),
        continue_on_error=step.truth("continueOnError", False),
        always=step.truth("always", False),
        timeout_seconds=step.number("timeoutSeconds", 3600.0),
    )


def pairs(body: Fields, key: str) -> list[tuple[str, object]]:
    """The entries of the object at `key`, whose own keys keep their case."""
    value = body.values.get(key, {})
    if not isinstance(value, dict):
        raise BadBody(f"{key} is not an object")
    return list(value.items())


def scope_for(store: Store, label: str) -> str:
    """The scope of the live scale set with that name or label, else the only scope that is in use."""
    wanted = label.lower()
    for one in reversed(store.scale_sets.values()):
        names = {one.name.lower(), *(name.lower() for name, _ in one.labels)}
        if one.live and wanted in names:
            return one.scope
    scopes = set(store.tenants.values())
    if len(scopes) == 1:
        return scopes.pop()
    raise BadBody(f"no scale set {label}: name the scope")
