"""Where an engine cannot run sidecars, by what it says about itself (docs/behaviour.md § 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.backends.docker.container import ENGINE_SOCKET
from runscaler.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.docker.facts import EngineFacts
    from runscaler.config.model import DockerSettings, ScaleSetSettings

SIDECAR = '[docker] dind = "sidecar"'
OTHER_WAYS = ("set dind = false", "use an engine that runs as root, without userns-remap")
WITH_SOCKET = (ENGINE_SOCKET, "/run/docker.sock", "/var/run", "/run")


def sidecar_findings(settings: ScaleSetSettings, facts: EngineFacts) -> list[Finding]:
    """Errors for what keeps a sidecar, or the containers in it, from starting."""
    docker = settings.docker
    if docker.dind != "sidecar":
        return []
    troubles = [*_engine_troubles(docker, facts), *_settings_troubles(docker)]
    return [Finding(Level.ERROR, f"{SIDECAR}: {text}", fixes, settings.name) for text, fixes in troubles]


def _engine_troubles(docker: DockerSettings, facts: EngineFacts) -> Iterator[tuple[str, tuple[str, ...]]]:
    if facts.is_podman:
        yield "Podman cannot let a runner into the network of a container that is made later", OTHER_WAYS
    elif facts.remaps_users and not docker.runtime:
        text = "the engine maps users to others of the host, and refuses the privileged container"
        yield text, ("set runtime to one that needs no privileges for it, such as sysbox-runc", *OTHER_WAYS)
    elif facts.is_rootless and not facts.limits_memory:
        text = "the rootless engine has no cgroups to hand down, without which jobs can start no container"
        yield text, ("give its user its cgroups (systemd: Delegate=yes; cgroup v2)", *OTHER_WAYS)


def _settings_troubles(docker: DockerSettings) -> Iterator[tuple[str, tuple[str, ...]]]:
    if docker.network == "host" or docker.network.startswith("container:"):
        text = f"with network = {docker.network!r} it would make its bridge and firewall rules there"
        yield text, ("leave network empty, or name a network of the engine",)
    for volume in docker.volumes:
        target = volume.split(":")[1] if ":" in volume else volume
        if target.rstrip("/") in WITH_SOCKET:
            text = f"volumes mounts {volume!r} where the sidecar's socket belongs"
            yield text, (f"remove {volume!r} from volumes",)
