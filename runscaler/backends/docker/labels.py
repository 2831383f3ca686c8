"""The marks on a container: written at its creation, read back into a `Resource` (docs/behaviour.md § 7.1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING

from runscaler.backends.base import Resource
from runscaler.names import OwnerId, RunnerName, ScaleSetKey, SlotNumber

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.backends.base import BackendContext, RunnerOrder
    from runscaler.github.base import JitConfig

MANAGED_BY, RUNNER = "managed-by", "runner"
PREFIX = "io.runscaler"
OWNER = f"{PREFIX}.owner"
HELPER = f"{PREFIX}.helper"
"""On short-lived containers of ours that hold no runner; its value says what for."""


def labels_for(order: RunnerOrder, jit: JitConfig, context: BackendContext) -> dict[str, str]:
    """All labels of the runner's container."""
    marks = {
        "url": order.settings.url,
        "scale-set": order.settings.name,
        "runner-group": order.settings.runner_group,
        "slot": str(order.slot),
        "runner": order.runner,
        "runner-id": str(jit.runner_id),
        "state-dir": str(context.state_dir or ""),
        "job-label": job_label(jit),
    }
    named = {f"{PREFIX}.{name}": value for name, value in marks.items() if value}
    return {MANAGED_BY: RUNNER, OWNER: context.owner, **named}


def own_filter(owner: OwnerId) -> list[str]:
    """The label filter for what this owner made, as the engine takes it."""
    return [f"{MANAGED_BY}={RUNNER}", f"{OWNER}={owner}"]


def resource_of(container_id: str, created_at: float, labels: Mapping[str, str]) -> Resource | None:
    """The running resource that the labels tell of; None where they tell of no runner."""
    marks = {
        name.removeprefix(f"{PREFIX}."): value for name, value in labels.items() if name.startswith(PREFIX)
    }
    slot = marks.get("slot", "")
    if "helper" in marks or "runner" not in marks or not slot.isdecimal():
        return None
    return Resource(
        id=container_id,
        owner=OwnerId(marks.get("owner", "")),
        key=ScaleSetKey.of(marks.get("url", ""), marks.get("runner-group", ""), marks.get("scale-set", "")),
        slot=SlotNumber(int(slot)),
        runner=RunnerName(marks["runner"]),
        runner_id=_number(marks.get("runner-id", "")),
        created_at=created_at,
    )


def key_of(labels: Mapping[str, str]) -> ScaleSetKey | None:
    """The scale set that the labels tell of."""
    resource = resource_of("", 0.0, labels)
    return resource.key if resource is not None else None


def job_label(jit: JitConfig) -> str:
    """What the runner writes on the containers and networks of its job (docs/protocol.md § 8.3).

    Empty where the configuration cannot be read: it is GitHub's, and no reason not to start.
    """
    try:
        files = json.loads(base64.b64decode(jit.encoded.reveal(), validate=True))
        text = base64.b64decode(files[".runner"], validate=True).decode("utf-8-sig")
    except (binascii.Error, UnicodeDecodeError, ValueError, KeyError, TypeError):
        return ""
    return hashlib.sha256(text.lower().encode()).hexdigest()[:6]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
