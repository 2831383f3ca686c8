"""The body of the request that creates a runner's container."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from runscaler.backends.certificates import ca_variables
from runscaler.backends.docker.facts import EngineFacts
from runscaler.backends.docker.labels import SIDECAR
from runscaler.config.proxy_url import revealed
from runscaler.net.proxies import runner_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.model import DockerSettings, ScaleSetSettings
    from runscaler.config.secrets import Secret

RUNNER_USER = "runner"
ENGINE_SOCKET = "/var/run/docker.sock"
"""Where jobs look for the engine's socket, inside the container."""
SIDECAR_GROUP = "123"
"""The group that may use a sidecar's socket: docker in the official image (docs/protocol.md § 8.1)."""
ENGINE_DATA = "/var/lib/docker"
SIDECAR_VOLUMES = ("/home/runner/_work", "/home/runner/externals", "/var/run")
"""What a runner shares with its sidecar. The engine fills them with what the image has there."""
SHARED_VOLUME = "runner-shared"
CA_FILE = "/usr/local/share/ca-certificates/runscaler.crt"
"""Where the image looks for more certificates, so the set's `ca` goes there (docs/protocol.md § 8.1)."""
BUNDLE_FILE = "/usr/local/share/runscaler/ca-bundle.pem"
"""The set's `ca` and the public authorities, for programs that take one file for all that they trust."""
MEGABYTE = 1024 * 1024
UNKNOWN = EngineFacts()


def create_body(
    settings: ScaleSetSettings,
    encoded_jit: Secret,
    labels: Mapping[str, str],
    socket_group: int | str | None = None,
    facts: EngineFacts = UNKNOWN,
) -> dict[str, object]:
    """What `POST /containers/create` takes for one runner (docs/behaviour.md § 7.1).

    It holds the JIT configuration in clear. `socket_group` is the group of the mounted engine socket as the
    container sees it, None if that cannot be told.
    """
    docker = settings.docker
    return {
        "Image": settings.runner_image,
        "User": RUNNER_USER,
        "Cmd": shlex.split(docker.run_command),
        "Env": [f"{name}={value}" for name, value in _environment(settings, encoded_jit).items()],
        "Labels": dict(labels),
        "HostConfig": {**_host_config(docker, socket_group, facts), **_with_sidecar(docker, labels)},
    }


def sidecar_body(
    settings: ScaleSetSettings, runner: str, labels: Mapping[str, str], facts: EngineFacts = UNKNOWN
) -> dict[str, object]:
    """What creates the engine beside the container `runner`: with the same volumes, and limits of its own.

    It gets neither the JIT configuration nor `env`. A `runtime` has to do what privileges are needed for
    otherwise.
    """
    docker = settings.docker
    variables = runner_variables(revealed(settings.proxy), shares_loopback=False)
    config: dict[str, object] = {
        "Privileged": not docker.runtime,
        "Runtime": docker.runtime,
        "SecurityOpt": ["label:disable"],
        "VolumesFrom": [runner],
        "Mounts": [_unnamed_volume(ENGINE_DATA)],
        "NetworkMode": docker.network,
        "ExtraHosts": list(docker.extra_hosts),
        "PidsLimit": docker.pids_limit if facts.limits_pids else 0,
        "LogConfig": _log_config(docker, facts),
        "RestartPolicy": {"Name": "no"},
        "Memory": docker.memory * MEGABYTE,
        "NanoCpus": round(docker.cpu * 1e9),
    }
    return {
        "Image": docker.sidecar_image,
        "Cmd": ["dockerd", f"--host=unix://{ENGINE_SOCKET}", f"--group={SIDECAR_GROUP}"],
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": dict(labels),
        "HostConfig": {key: value for key, value in config.items() if value},
    }


def _unnamed_volume(target: str) -> dict[str, object]:
    """A new volume that is removed with the last container that has it."""
    return {"Type": "volume", "Target": target}


def _with_sidecar(docker: DockerSettings, labels: Mapping[str, str]) -> dict[str, object]:
    """What differs for a runner that uses the network of its sidecar. The sidecar has the `extra_hosts`."""
    if docker.dind != "sidecar":
        return {}
    return {"NetworkMode": f"container:{labels[SIDECAR]}", "ExtraHosts": []}


def _environment(settings: ScaleSetSettings, encoded_jit: Secret) -> dict[str, str]:
    """Later entries win: the user's `env` over ours, but not over the JIT configuration."""
    docker = settings.docker
    return {
        "RUNNER_MANUALLY_TRAP_SIG": "1",
        "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE": "1",
        **({"SHARED_DIR": docker.shared_volume} if docker.shared_volume else {}),
        **runner_variables(revealed(settings.proxy), shares_loopback=docker.network == "host"),
        **(_CA_VARIABLES if settings.ca else {}),
        **({"DOCKER_HOST": f"unix://{ENGINE_SOCKET}"} if docker.dind == "sidecar" else {}),
        **{name: value.reveal() for name, value in docker.env.items()},
        "ACTIONS_RUNNER_INPUT_JITCONFIG": encoded_jit.reveal(),
    }


_CA_VARIABLES = {
    **ca_variables(CA_FILE, BUNDLE_FILE),
    "RUNNER_UPDATE_CA_CERTS": "1",
}


def _host_config(
    docker: DockerSettings, socket_group: int | str | None, facts: EngineFacts
) -> dict[str, object]:
    config: dict[str, object] = {
        "SecurityOpt": security_options(docker),
        "CapDrop": list(docker.cap_drop),
        "PidsLimit": docker.pids_limit if facts.limits_pids else 0,
        "LogConfig": _log_config(docker, facts),
        "RestartPolicy": {"Name": "no"},
        "Memory": docker.memory * MEGABYTE,
        "NanoCpus": round(docker.cpu * 1e9),
        "Privileged": docker.privileged,
        "Mounts": _mounts(docker),
        "Binds": list(docker.volumes),
        "ExtraHosts": list(docker.extra_hosts),
        "GroupAdd": _groups(docker, socket_group),
        "DeviceRequests": _device_requests(docker.gpus),
        "NetworkMode": docker.network,
        "Runtime": docker.runtime,
    }
    return {key: value for key, value in config.items() if value}


def security_options(docker: DockerSettings) -> list[str]:
    """SELinux forbids containers an engine's socket, so that with one they have no label."""
    options = ["label:disable"] if docker.dind else []
    return [*options, "no-new-privileges"] if docker.no_new_privileges else options


def _log_config(docker: DockerSettings, facts: EngineFacts) -> dict[str, object]:
    """Only of a driver that can do it: others refuse the container."""
    if not docker.log_max_size or not facts.rotates_logs:
        return {}
    return {"Type": facts.logging_driver, "Config": {"max-size": docker.log_max_size}}


def _mounts(docker: DockerSettings) -> list[dict[str, object]]:
    mounts: list[dict[str, object]] = []
    if docker.dind is True:
        mounts.append({"Type": "bind", "Source": docker.dind_path, "Target": ENGINE_SOCKET})
    if docker.dind == "sidecar":
        mounts += [_unnamed_volume(target) for target in SIDECAR_VOLUMES]
    if docker.shared_volume:
        mounts.append(shared_volume_mount(docker.shared_volume))
    return mounts


def shared_volume_mount(target: str) -> dict[str, object]:
    """A mount without copying what the image has there, which would also change the owner."""
    return {
        "Type": "volume",
        "Source": SHARED_VOLUME,
        "Target": target,
        "VolumeOptions": {"NoCopy": True},
    }


def _groups(docker: DockerSettings, socket_group: int | str | None) -> list[str]:
    """The socket's group, and 0: that is its group in the container if the engine runs in a VM."""
    if docker.dind == "sidecar":
        return [SIDECAR_GROUP]
    if docker.dind is not True:
        return []
    return list(dict.fromkeys(str(group) for group in (socket_group, 0) if group is not None))


def _device_requests(gpus: str) -> list[dict[str, object]]:
    if not gpus:
        return []
    count = int(gpus) if gpus.isdecimal() else -1
    return [{"Driver": "", "Count": count, "Capabilities": [["gpu"]]}]
