"""Lists our containers on an engine, in any state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docker.errors import NotFound

from runscaler.backends.base import ResourceState
from runscaler.backends.docker.api import seconds_of
from runscaler.backends.docker.labels import own_filter, resource_of
from runscaler.backends.docker.socket_mounts import DEAD_MOUNT
from runscaler.backends.docker.watch import ending_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from runscaler.backends.base import Ending, Resource
    from runscaler.backends.docker.api import EngineApi, Inspection
    from runscaler.backends.docker.socket_mounts import SocketMounts
    from runscaler.names import OwnerId

LIVE = ("running", "paused", "restarting")


def own_resources(
    api: EngineApi, owner: OwnerId, reported_ended: Collection[str], socket_mounts: SocketMounts
) -> list[Resource]:
    """One call for all, and one more for each that has ended, because the list does not say how it ended.

    `reported_ended` are those with an event of their end. It comes a moment before the list shows it, so
    they are looked at one by one too.
    """
    listed = api.containers(all=True, filters={"label": own_filter(owner)})
    found = [_resource(api, container, reported_ended) for container in listed]
    dead = socket_mounts.dead(api, listed)
    return [
        replace(resource, unfit=DEAD_MOUNT) if resource.id in dead else resource
        for resource in found
        if resource is not None
    ]


def _resource(api: EngineApi, listed: Inspection, reported_ended: Collection[str]) -> Resource | None:
    labels, created = listed.get("Labels"), listed.get("Created")
    if not isinstance(labels, dict) or not isinstance(created, int):
        return None
    resource = resource_of(str(listed["Id"]), float(created), labels)
    if resource is None or (listed.get("State") in LIVE and resource.id not in reported_ended):
        return resource
    try:
        state = api.inspect_container(resource.id)["State"]
    except NotFound:
        return None
    return resource if state.get("Running") else ended(resource, state)


def ended(resource: Resource, state: Inspection) -> Resource:
    return replace(resource, state=ResourceState.ENDED, ending=_ending(state))


def _ending(state: Inspection) -> Ending:
    """From an inspected container. One that never started has no exit code."""
    code = state.get("ExitCode") if state.get("Status") != "created" else None
    return ending_of(
        code if isinstance(code, int) else None,
        bool(state.get("OOMKilled")),
        seconds_of(str(state.get("FinishedAt", ""))),
    )
