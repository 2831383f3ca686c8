"""What of ours is on the engine, in any state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docker.errors import NotFound

from runscaler.backends.base import ResourceState
from runscaler.backends.docker.api import seconds_of
from runscaler.backends.docker.labels import own_filter, resource_of
from runscaler.backends.docker.watch import ending_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from runscaler.backends.base import Ending, Resource
    from runscaler.backends.docker.api import EngineApi, Inspection
    from runscaler.names import OwnerId

LIVE = ("running", "paused", "restarting")


def own_resources(api: EngineApi, owner: OwnerId, doubtful: Collection[str]) -> list[Resource]:
    """One call for all, and one more for each that ended: only there the engine says how.

    `doubtful` are those whose end was heard of: the engine says "die" a moment before its list knows.
    """
    listed = api.containers(all=True, filters={"label": own_filter(owner)})
    found = (_resource(api, container, doubtful) for container in listed)
    return [resource for resource in found if resource is not None]


def _resource(api: EngineApi, listed: Inspection, doubtful: Collection[str]) -> Resource | None:
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


def ended(resource: Resource, state: Inspection) -> Resource:
    return replace(resource, state=ResourceState.ENDED, ending=_ending(state))


def _ending(state: Inspection) -> Ending:
    """From the engine's inspection; one that never started has no exit code to tell."""
    code = state.get("ExitCode") if state.get("Status") != "created" else None
    return ending_of(
        code if isinstance(code, int) else None,
        bool(state.get("OOMKilled")),
        seconds_of(str(state.get("FinishedAt", ""))),
    )
