"""Lists our containers on an engine, in any state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runscaler.backends.base import ResourceState
from runscaler.backends.docker import answers
from runscaler.backends.docker.api import seconds_of
from runscaler.backends.docker.containers import state_of
from runscaler.backends.docker.labels import own_filter, resource_of
from runscaler.backends.docker.sidecar import DEAD_SIDECAR, without_engine
from runscaler.backends.docker.socket_mounts import DEAD_MOUNT
from runscaler.backends.docker.watch import ending_of
from runscaler.backends.marks import UnreadableMarks

if TYPE_CHECKING:
    from collections.abc import Collection

    from runscaler.backends.base import Ending, Resource
    from runscaler.backends.docker.api import EngineApi, Inspection
    from runscaler.backends.docker.outdated_runners import OutdatedRunners
    from runscaler.backends.docker.socket_mounts import SocketMounts
    from runscaler.backends.marks import UnreadableResources
    from runscaler.names import OwnerId

LIVE = ("running", "paused", "restarting")


def own_containers(api: EngineApi, owner: OwnerId) -> list[Inspection]:
    """As the engine lists them, helpers and sidecars too."""
    return list(answers.tables(api.containers(all=True, filters={"label": own_filter(owner)}), "the list"))


def own_resources(
    api: EngineApi,
    listed: list[Inspection],
    owner: OwnerId,
    reported_ended: Collection[str],
    socket_mounts: SocketMounts,
    outdated_runners: OutdatedRunners,
    unreadable: UnreadableResources,
) -> list[Resource]:
    """The runners among `listed`. One call for each that has ended, because the list does not say how.

    `reported_ended` are those with an event of their end. It comes a moment before the list shows it, so
    they are looked at one by one too. Containers with labels that cannot be read are left out.
    """
    left_out: list[tuple[str, str]] = []
    found = [_resource(api, container, reported_ended, left_out) for container in listed]
    unreadable.warn(left_out)
    own = [resource for resource in found if resource is not None and resource.owner == owner]
    outdated = outdated_runners.among(api, listed, own)
    unfit = {
        **dict.fromkeys(without_engine(listed, reported_ended), DEAD_SIDECAR),
        **dict.fromkeys(socket_mounts.dead(api, listed), DEAD_MOUNT),
    }
    return [
        replace(resource, unfit=unfit.get(resource.id, ""), outdated=outdated.get(resource.id, ""))
        for resource in own
    ]


def _resource(
    api: EngineApi, listed: Inspection, reported_ended: Collection[str], left_out: list[tuple[str, str]]
) -> Resource | None:
    labels = listed.get("Labels")
    if not answers.is_table(labels):
        return None
    container = answers.identifier(listed.get("Id"), "the id of a container")
    try:
        resource = resource_of(container, answers.seconds(listed.get("Created")), labels)
    except UnreadableMarks as error:
        left_out.append((f"container {container[:12]}", str(error)))
        return None
    if resource is None or (listed.get("State") in LIVE and resource.id not in reported_ended):
        return resource
    if (state := state_of(api, resource.id)) is None:
        return None
    return resource if answers.boolean(state.get("Running"), "Running") else ended(resource, state)


def ended(resource: Resource, state: Inspection) -> Resource:
    return replace(resource, state=ResourceState.ENDED, ending=_ending(state))


def _ending(state: Inspection) -> Ending:
    """From an inspected container. One that never started has no exit code."""
    code = state.get("ExitCode") if state.get("Status") != "created" else None
    return ending_of(
        answers.exit_code(code),
        bool(state.get("OOMKilled")),
        seconds_of(str(state.get("FinishedAt", ""))),
    )
