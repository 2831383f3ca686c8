"""What the demo needs of this machine: a backend, settings for it, and the proof that it left nothing."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

import psutil

from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.labels import PREFIX
from runscaler.backends.docker.local import way_to_host
from runscaler.config.model import DEFAULT_IMAGE, Config, DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import BackendError
from runscaler.ops.demo_image import ensure_demo_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runscaler.backends.base import Progress

ORGANISATION = "demo-org"
SCALE_SET = "demo"
LOOPBACK = "127.0.0.1"


class Lists(Protocol):
    """What of the engine only this check asks."""

    def volumes(self, filters: Mapping[str, object]) -> Mapping[str, Sequence[Mapping[str, str]] | None]: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the demo's runners live. The simulator listens on `listen`; runners reach it as `agent_host`."""

    backend: str
    image: str = DEFAULT_IMAGE
    docker: DockerSettings = field(default_factory=DockerSettings)
    listen: str = LOOPBACK
    agent_host: str = LOOPBACK
    instead_of: str = ""
    """Why it is not Docker, where "auto" would have liked that better."""


def find_ground(wanted: str, progress: Progress) -> Ground:
    """The backend for "docker", "process" or "auto" (Docker if an engine answers). `BackendError`."""
    if wanted == "process":
        return Ground("process")
    try:
        return _docker(engine_settings(), progress)
    except BackendError as error:
        if wanted == "docker":
            raise
        return Ground("process", instead_of=str(error))


def engine_settings() -> DockerSettings:
    """The engine that the docker command would use: DOCKER_HOST, else the usual socket."""
    return DockerSettings(docker_host=os.environ.get("DOCKER_HOST", ""), dind=False, pull="never")


def make_image(progress: Progress) -> str:
    """The name of the demo's image, made if the engine has none. `BackendError`."""
    return ensure_demo_image(engine_settings().endpoint, progress)


def _docker(settings: DockerSettings, progress: Progress) -> Ground:
    url = settings.endpoint
    way = way_to_host(url)
    if way is None:
        raise BackendError(
            f"containers of the engine {url} cannot reach this host",
            fixes=("use an engine on this host", "runner demo --backend process needs none"),
        )
    image = ensure_demo_image(url, progress)
    listen = way.address if _is_address(way.address) else LOOPBACK
    docker = settings.model_copy(update={"network": way.network})
    return Ground("docker", image, docker, listen, way.address)


def demo_config(ground: Ground, github_url: str, state_dir: Path, *, max_runners: int, port: int) -> Config:
    """A daemon's whole configuration, with timers that suit a show of seconds."""
    settings = ScaleSetSettings(
        url=f"{github_url}/{ORGANISATION}",
        name=SCALE_SET,
        token=Secret("a-token-for-the-simulator"),
        backend=ground.backend,
        max_runners=max_runners,
        idle_timeout=5.0,
        start_timeout=60.0,
        runner_image=ground.image,
        docker=ground.docker,
    )
    return Config(
        scale_sets=(settings,),
        state_dir=state_dir,
        health_host=LOOPBACK,
        health_port=port,
        drain_timeout=0.0,
        update_check=False,
    )


def free_port(host: str = LOOPBACK) -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def leftovers(ground: Ground, state_dir: Path) -> list[str]:
    """Everything of the demo's daemon that is still on this machine, a line each."""
    left = [_described(one) for one in _processes(state_dir)]
    left += [f"directory {path}" for path in sorted(state_dir.glob("process/*/*"))]
    return left + (_at_engine(ground, state_dir) if ground.backend == "docker" else [])


def _processes(state_dir: Path) -> list[psutil.Process]:
    """Whose working directory or command line lies in the state directory, or who are our children."""
    found = {one.pid: one for one in psutil.Process().children(recursive=True)}
    for one in psutil.process_iter():
        try:
            if str(state_dir) in one.cwd() or any(str(state_dir) in word for word in one.cmdline()):
                found[one.pid] = one
        except psutil.Error:
            continue
    found.pop(os.getpid(), None)
    return [one for one in found.values() if _lives(one)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _described(process: psutil.Process) -> str:
    try:
        return f"process {process.pid}: {' '.join(process.cmdline())[:80]}"
    except psutil.Error:
        return f"process {process.pid}"


def _at_engine(ground: Ground, state_dir: Path) -> list[str]:
    """Containers and volumes that carry this daemon's marks, whatever the daemon itself believes."""
    engine = Engine(EngineAddress.of(ground.docker))
    label = f"{PREFIX}.state-dir={state_dir}"
    try:
        with engine.call("look for what the demo left") as api:
            containers = api.containers(all=True, filters={"label": [label]})
            volumes = cast("Lists", api).volumes(filters={"label": [label]})["Volumes"] or ()
    finally:
        engine.forget()
    return [f"container {str(one['Id'])[:12]}" for one in containers] + [
        f"volume {one['Name']}" for one in volumes
    ]


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdecimal() or ":" in host
