"""What of ours is on the engine, in any state."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from docker.errors import NotFound

from runscaler.backends.base import ResourceState
from runscaler.backends.docker.labels import own_filter, resource_of
from runscaler.backends.docker.watch import ending_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from runscaler.backends.base import Ending, Resource
    from runscaler.backends.docker.api import EngineApi
    from runscaler.names import OwnerId

LIVE = ("running", "paused", "restarting")


def own_resources(api: EngineApi, owner: OwnerId, doubtful: Collection[str]) -> list[Resource]:
    """One call for all, and one more for each that ended: only there the engine says how.

    `doubtful` are those whose end was heard of: the engine says "die" a moment before its list knows.
    """
    listed = api.containers(all=True, filters={"label": own_filter(owner)})
    found = (_resource(api, container, doubtful) for container in listed)
    return [resource for resource in found if resource is not None]


def _resource(api: EngineApi, listed: Mapping[str, object], doubtful: Collection[str]) -> Resource | None:
    labels, created = listed.get("Labels"), listed.get("Created")
    if not isinstance(labels, dict) or not isinstance(created, int):
        return None
    resource = resource_of(str(listed["Id"]), float(created), labels)
    if resource is None or (listed.get("State") in LIVE and resource.id not in doubtful):
        return resource
    try:
        state = api.inspect_container(resource.id)["State"]
    except NotFound:
        return None
    return resource if state.get("Running") else ended(resource, state)


def ended(resource: Resource, state: Mapping[str, object]) -> Resource:
    return replace(resource, state=ResourceState.ENDED, ending=_ending(state))


def _ending(state: Mapping[str, object]) -> Ending:
    """From the engine's inspection; one that never started has no exit code to tell."""
    code = state.get("ExitCode") if state.get("Status") != "created" else None
    return ending_of(
        code if isinstance(code, int) else None,
        bool(state.get("OOMKilled")),
        _seconds(str(state.get("FinishedAt", ""))),
    )


def _seconds(text: str) -> float:
    """Wall-clock seconds of the engine's time text, 0 for its "never"."""
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except ValueError:
        return 0.0
