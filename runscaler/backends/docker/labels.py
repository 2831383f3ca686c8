"""The labels of a container, which say what runner it is for (docs/behaviour.md § 7.1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING

from runscaler.backends.base import Resource
from runscaler.backends.marks import UnreadableMarks, runner_id, runner_name, scale_set_key, slot_number
from runscaler.names import OwnerId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.backends.base import BackendContext, RunnerOrder
    from runscaler.github.base import JitConfig
    from runscaler.names import RunnerName, ScaleSetKey

MANAGED_BY, RUNNER = "managed-by", "runner"
PREFIX = "io.runscaler"
OWNER = f"{PREFIX}.owner"
STATE_DIR = f"{PREFIX}.state-dir"
HELPER = f"{PREFIX}.helper"
"""On our containers without a runner; its value is their purpose."""
JOB_LABEL = f"{PREFIX}.job-label"
RUNNER_NAME = f"{PREFIX}.runner"
SIDECAR = f"{PREFIX}.sidecar"
"""On a runner's container that has an engine of its own; its value is the name of that container."""
SIDECAR_HELPER = "sidecar"
"""The purpose of that container, which bears the name of its runner, too."""
HELPER_OWNER, HELPER_STATE_DIR = f"{HELPER}.owner", f"{HELPER}.state-dir"


def labels_for(order: RunnerOrder, jit: JitConfig, context: BackendContext) -> dict[str, str]:
    """All labels of the runner's container."""
    values = {
        "url": order.settings.url,
        "scale-set": order.settings.name,
        "runner-group": order.settings.runner_group,
        "slot": str(order.slot),
        "runner": order.runner,
        "runner-id": str(jit.runner_id),
        "state-dir": str(context.state_dir or ""),
        "job-label": job_label(jit),
        "sidecar": sidecar_name(order.runner) if order.settings.docker.dind == "sidecar" else "",
    }
    named = {f"{PREFIX}.{name}": value for name, value in values.items() if value}
    return {MANAGED_BY: RUNNER, OWNER: context.owner, **named}


def sidecar_name(runner: RunnerName) -> str:
    """The name of the container with the runner's own engine."""
    return f"{runner}-engine"


def sidecar_labels(order: RunnerOrder, context: BackendContext) -> dict[str, str]:
    """All labels of that container."""
    labels = {MANAGED_BY: RUNNER, OWNER: context.owner, HELPER: SIDECAR_HELPER, RUNNER_NAME: order.runner}
    return {**labels, f"{PREFIX}.state-dir": str(context.state_dir)} if context.state_dir else labels


def helper_labels(purpose: str, context: BackendContext) -> dict[str, str]:
    """All labels of a container of ours that serves no runner. It has none of a runner's, so that who counts
    runners by their labels does not count it."""
    labels = {HELPER: purpose, HELPER_OWNER: context.owner}
    return labels | ({HELPER_STATE_DIR: str(context.state_dir)} if context.state_dir else {})


def helper_filter(owner: OwnerId) -> list[str]:
    """The engine's label filter for the helper containers of this owner."""
    return [f"{HELPER_OWNER}={owner}"]


def own_filter(owner: OwnerId) -> list[str]:
    """The engine's label filter for what this owner made."""
    return [f"{MANAGED_BY}={RUNNER}", f"{OWNER}={owner}"]


def labels_of(listed: Mapping[str, object]) -> Mapping[str, object]:
    """The labels in an entry of one of the engine's lists."""
    labels = listed.get("Labels")
    return labels if isinstance(labels, dict) else {}


def resource_of(container_id: str, created_at: float, labels: Mapping[str, object]) -> Resource | None:
    """The resource with these labels, as one that runs; None if they are not a runner's.

    Raises `UnreadableMarks` for a runner's labels that we have not written.
    """
    values = {
        name.removeprefix(f"{PREFIX}."): value
        for name, value in labels.items()
        if name.startswith(PREFIX) and isinstance(value, str)
    }
    if "helper" in values or "runner" not in values:
        return None
    return Resource(
        id=container_id,
        owner=OwnerId(values.get("owner", "")),
        key=scale_set_key(values.get("url", ""), values.get("runner-group", ""), values.get("scale-set", "")),
        slot=slot_number(values.get("slot", "")),
        runner=runner_name(values["runner"]),
        runner_id=runner_id(values.get("runner-id", "")),
        created_at=created_at,
    )


def key_of(labels: Mapping[str, object]) -> ScaleSetKey | None:
    """The scale set that the labels name; None if they are not a runner's, or cannot be read."""
    try:
        resource = resource_of("", 0.0, labels)
    except UnreadableMarks:
        return None
    return resource.key if resource is not None else None


def job_label(jit: JitConfig) -> str:
    """The label that the runner puts on containers and networks of its job (docs/protocol.md § 8.3).

    Empty if the JIT configuration cannot be read, which must not keep the runner from starting.
    """
    try:
        files = json.loads(base64.b64decode(jit.encoded.reveal(), validate=True))
        text = base64.b64decode(files[".runner"], validate=True).decode("utf-8-sig")
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return hashlib.sha256(text.lower().encode()).hexdigest()[:6]
