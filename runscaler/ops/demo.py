"""What the demo needs of this machine: a backend, settings for it, and the proof that it left nothing."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

import psutil

from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.labels import PREFIX
from runscaler.backends.docker.local import route_to_host
from runscaler.config.model import DEFAULT_IMAGE, Config, DockerSettings, ScaleSetSettings, TartSettings
from runscaler.config.secrets import Secret
from runscaler.errors import BackendError
from runscaler.ops.demo_image import ensure_demo_image
from runscaler.ops.demo_tart import AGENT_DIR, GATEWAY, missing_tart, tart_leftovers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runscaler.backends.base import Progress

ORGANISATION = "demo-org"
SCALE_SET = "demo"
LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - guests come in by an interface that exists while one of them runs
MOST_VMS = 2


class Lists(Protocol):
    """What of the engine only this check asks."""

    def volumes(self, filters: Mapping[str, object]) -> Mapping[str, Sequence[Mapping[str, str]] | None]: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the demo's runners live. The simulator listens on `listen`; runners reach it as `agent_host`."""

    backend: str
    image: str = DEFAULT_IMAGE
    docker: DockerSettings = field(default_factory=DockerSettings)
    tart: TartSettings = field(default_factory=TartSettings)
    listen: str = LOOPBACK
    agent_host: str = LOOPBACK
    instead_of: str = ""
    """Why it is not Docker, where "auto" would have liked that better, or not a real tart."""
    is_pretended: bool = False
    """A fake tart is to stand in for the real one."""

    @property
    def most_runners(self) -> int:
        """More never run at once."""
        return self.tart.max_vms if self.backend == "tart" else sys.maxsize


def find_ground(wanted: str, progress: Progress, *, image: str = "", pretend: bool = False) -> Ground:
    """The backend for "docker", "process", "tart" or "auto" (Docker if an engine answers, never Tart).

    `image` is for a real tart, `pretend` does without one. `BackendError`.
    """
    if wanted == "tart":
        return _tart(image, pretend=pretend)
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
    way = route_to_host(url)
    if way is None:
        raise BackendError(
            f"containers of the engine {url} cannot reach this host",
            fixes=("use an engine on this host", "runner demo --backend process needs none"),
        )
    image = ensure_demo_image(url, progress)
    listen = way.address if _is_address(way.address) else LOOPBACK
    docker = settings.model_copy(update={"network": way.network})
    return Ground("docker", image, docker, listen=listen, agent_host=way.address)


def _tart(image: str, *, pretend: bool) -> Ground:
    settings = TartSettings(pool_size=MOST_VMS, max_vms=MOST_VMS, cache_cleanup=False)
    missing = "" if pretend else missing_tart()
    if missing and image:
        raise BackendError(
            f"there is no tart to make VMs of image {image}: {missing}",
            fixes=("leave the image out: a fake tart stands in, and its VMs are processes",),
        )
    if pretend or missing:
        return Ground("tart", tart=settings, instead_of=missing, is_pretended=True)
    if not image:
        raise BackendError(
            "the demo on this Mac's tart needs an image: one with tart-guest-agent and python3",
            fixes=(
                "name it: `--runner-image ghcr.io/cirruslabs/macos-sequoia-base:latest` (25 GB)",
                "or do without: `--fake-tart` pretends, and its VMs are processes",
            ),
        )
    real = settings.model_copy(update={"runner_dir": AGENT_DIR})
    return Ground("tart", image, tart=real, listen=EVERYWHERE, agent_host=GATEWAY)


def demo_config(ground: Ground, github_url: str, state_dir: Path, *, max_runners: int, port: int) -> Config:
    """A daemon's whole configuration, with timers that suit a show of seconds."""
    settings = ScaleSetSettings(
        url=f"{github_url}/{ORGANISATION}",
        name=SCALE_SET,
        token=Secret("a-token-for-the-simulator"),
        backend=ground.backend,
        max_runners=min(max_runners, ground.most_runners),
        idle_timeout=5.0,
        start_timeout=60.0,
        runner_image=ground.image,
        docker=ground.docker,
        tart=ground.tart,
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
    if ground.backend == "tart":
        return left + tart_leftovers(state_dir)
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
        engine.disconnect()
    return [f"container {str(one['Id'])[:12]}" for one in containers] + [
        f"volume {one['Name']}" for one in volumes
    ]


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdecimal() or ":" in host
