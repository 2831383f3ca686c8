"""Who made a container, and which containers use a volume, from the engine's list of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.backends.docker.labels import (
    HELPER_OWNER,
    HELPER_STATE_DIR,
    MANAGED_BY,
    OWNER,
    RUNNER,
    STATE_DIR,
    labels_of,
)
from runscaler.backends.leftovers import LEGACY_CLEANUP, LEGACY_RUNNER, Kind, Leftover, state_dir_text
from runscaler.names import OWNER_ID, OwnerId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runscaler.backends.docker.api import Inspection

LEGACY_MANAGERS = ("runner", "runscaler")
ENDED = ("exited", "dead", "removing")
"""The states of a container whose process has run and runs no more."""
CREATED = "created"


def leftover_of(listed: Inspection) -> Leftover | None:
    """From an entry of the engine's list; None for a container that neither we nor the Go tool made."""
    labels, container, names = listed.get("Labels"), listed.get("Id"), listed.get("Names")
    if not isinstance(labels, dict) or not isinstance(container, str) or not container.isalnum():
        return None
    name = str(names[0]).lstrip("/") if isinstance(names, list) and names else ""
    is_helper = HELPER_OWNER in labels
    owner = labels.get(HELPER_OWNER if is_helper else OWNER)
    if owner is None:
        return Leftover(Kind.CONTAINER, container, name) if _is_legacy(name, labels) else None
    is_ours = is_helper or labels.get(MANAGED_BY) == RUNNER
    if not is_ours or not isinstance(owner, str) or not OWNER_ID.match(owner):
        return None
    state_dir = state_dir_text(labels.get(HELPER_STATE_DIR if is_helper else STATE_DIR))
    return Leftover(Kind.CONTAINER, container, name, OwnerId(owner), state_dir)


def _is_legacy(name: str, labels: Mapping[str, object]) -> bool:
    named = LEGACY_RUNNER.match(name) or LEGACY_CLEANUP.match(name)
    return bool(named) and labels.get(MANAGED_BY) in LEGACY_MANAGERS


def users_of(volume: str, listed: Iterable[Inspection]) -> tuple[str, ...]:
    """The ids of the listed containers that mount the volume."""
    return tuple(
        str(container.get("Id"))
        for container in listed
        if any(
            isinstance(mount, dict) and mount.get("Type") == "volume" and mount.get("Name") == volume
            for mount in _list(container.get("Mounts"))
        )
    )


def may_run(listed: Inspection) -> bool:
    """Does an entry of the engine's list run, or may it be started yet?"""
    return listed.get("State") not in ENDED


def is_unstarted_helper(listed: Inspection) -> bool:
    """Does it only hold a volume, or look at one, and has never run?"""
    return listed.get("State") == CREATED and HELPER_OWNER in labels_of(listed)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
