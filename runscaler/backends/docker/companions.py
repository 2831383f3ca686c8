"""Removes what belongs to a runner's container besides itself, before it (docs/behaviour.md § 7.1).

The labels of the runner's container are all that tells what belongs to it. So it is ended first, which stops
its job from making more, and removed last: whoever finds it after a crash finds the rest through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from runscaler.backends.docker import answers
from runscaler.backends.docker.errors import CONFLICT, status
from runscaler.backends.docker.labels import JOB_LABEL, SIDECAR, labels_of
from runscaler.backends.docker.siblings import remove_siblings
from runscaler.backends.docker.sidecar import remove_sidecars

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.backends.base import Resource
    from runscaler.backends.docker.api import EngineApi
    from runscaler.backends.docker.socket_mounts import SocketMounts


def remove_companions(
    api: EngineApi, resource: Resource, socket_mounts: SocketMounts, known_label: str, *, force: bool
) -> None:
    """Those of a runner that has ended, and by `force` also of one that runs, which is killed.

    Nothing if it runs and must not be killed. Where somebody else removed its container, `known_label` is the
    job label that it had, if it could use the engine's socket; its sidecar goes with the next inventory.
    """
    try:
        container = answers.table(api.inspect_container(resource.id), "the container")
    except NotFound:
        remove_siblings(api, resource.id, resource.runner, known_label)
        return
    labels = labels_of(answers.table(container.get("Config"), "the configuration of a container"))
    has_sidecar, mounts_socket = SIDECAR in labels, socket_mounts.mounts_socket(container)
    if not (has_sidecar or mounts_socket) or not _has_ended(api, resource.id, container, force=force):
        return
    if has_sidecar:
        remove_sidecars(api, resource.owner, resource.runner)
    if mounts_socket:
        remove_siblings(api, resource.id, resource.runner, str(labels.get(JOB_LABEL, "")))


def _has_ended(api: EngineApi, container: str, inspected: Mapping[str, object], *, force: bool) -> bool:
    """Has it ended, or does it now, by force?"""
    state = answers.table(inspected.get("State"), "the state of a container")
    if not answers.boolean(state.get("Running"), "Running"):
        return True
    if not force:
        return False
    try:
        api.kill(container, signal="SIGKILL")
        api.wait(container)
    except APIError as error:
        if status(error) not in (404, CONFLICT):  # it has ended by itself
            raise
    return True
