"""Where the demo's runners live on this machine, the demo's configuration, and a check for leftovers."""

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
from runscaler.ops.demo_tart import AGENT_DIR, GATEWAY, GUESTS, missing_tart, tart_leftovers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runscaler.backends.base import Progress

ORGANISATION = "demo-org"
SCALE_SET = "demo"
LOOPBACK = "127.0.0.1"
ALL_INTERFACES = "0.0.0.0"  # noqa: S104 - the interface of the guests exists only while one of them runs
MAX_VMS = 2


class VolumeApi(Protocol):
    """The part of docker-py's API client that only this module uses."""

    def volumes(self, filters: Mapping[str, object]) -> Mapping[str, Sequence[Mapping[str, str]] | None]: ...


@dataclass(frozen=True, slots=True)
class DemoTarget:
    """Where the demo's runners live. The simulator listens on `listen`; runners reach it at `agent_host`."""

    backend: str
    image: str = DEFAULT_IMAGE
    docker: DockerSettings = field(default_factory=DockerSettings)
    tart: TartSettings = field(default_factory=TartSettings)
    listen: str = LOOPBACK
    agent_host: str = LOOPBACK
    networks: tuple[str, ...] = ()
    """Where clients of the simulator may come from; empty: from wherever `listen` can be reached."""
    fallback_reason: str = ""
    """Why "auto" did not choose Docker, or why there is no real tart; else empty."""
    is_fake_tart: bool = False
    """A fake tart replaces the real one."""

    @property
    def max_runners(self) -> int:
        """The maximum number of runners at the same time."""
        return self.tart.max_vms if self.backend == "tart" else sys.maxsize


def find_target(wanted: str, progress: Progress, *, image: str = "", fake_tart: bool = False) -> DemoTarget:
    """The target for "docker", "process", "tart" or "auto" (Docker if an engine answers, else process).

    `image` is for a real tart; `fake_tart` uses none. Raises `BackendError`.
    """
    if wanted == "tart":
        return _tart(image, fake_tart=fake_tart)
    if wanted == "process":
        return DemoTarget("process")
    try:
        return _docker(engine_settings(), progress)
    except BackendError as error:
        if wanted == "docker":
            raise
        return DemoTarget("process", fallback_reason=str(error))


def engine_settings() -> DockerSettings:
    """The engine that the docker command would use: DOCKER_HOST, else the default socket."""
    return DockerSettings(
        docker_host=os.environ.get("DOCKER_HOST", ""),
        dind=False,
        pull="never",
        prune_on_exit=False,  # the engine is the user's
        buildx_cleanup=False,
    )


def make_image(progress: Progress) -> str:
    """The name of the demo image; built if the engine does not have it. Raises `BackendError`."""
    return ensure_demo_image(EngineAddress.of(engine_settings()), progress)


def _docker(settings: DockerSettings, progress: Progress) -> DemoTarget:
    engine = EngineAddress.of(settings)
    way = route_to_host(engine)
    if way is None:
        raise BackendError(
            f"containers of the engine {engine} cannot reach this host",
            fixes=("use an engine on this host", "use processes: runner demo --backend process"),
        )
    image = ensure_demo_image(engine, progress)
    listen = way.address if _is_address(way.address) else LOOPBACK
    docker = settings.model_copy(update={"network": way.network})
    return DemoTarget("docker", image, docker, listen=listen, agent_host=way.address)


def _tart(image: str, *, fake_tart: bool) -> DemoTarget:
    settings = TartSettings(pool_size=MAX_VMS, max_vms=MAX_VMS, cache_cleanup=False)
    missing = "" if fake_tart else missing_tart()
    if missing and image:
        raise BackendError(
            f"there is no tart to create VMs from image {image}: {missing}",
            fixes=("leave out --runner-image: the demo then uses a fake tart whose VMs are processes",),
        )
    if fake_tart or missing:
        return DemoTarget("tart", tart=settings, fallback_reason=missing, is_fake_tart=True)
    if not image:
        raise BackendError(
            "the demo on this Mac's tart needs an image with tart-guest-agent and python3",
            fixes=(
                "give one: --runner-image ghcr.io/cirruslabs/macos-sequoia-base:latest (25 GB)",
                "use a fake tart, whose VMs are processes: --fake-tart",
            ),
        )
    real = settings.model_copy(update={"runner_dir": AGENT_DIR})
    return DemoTarget("tart", image, tart=real, listen=ALL_INTERFACES, agent_host=GATEWAY, networks=GUESTS)


def demo_config(
    target: DemoTarget, github_url: str, state_dir: Path, *, max_runners: int, port: int
) -> Config:
    """The configuration of the demo's daemon, with short timeouts."""
    settings = ScaleSetSettings(
        url=f"{github_url}/{ORGANISATION}",
        name=SCALE_SET,
        token=Secret("a-token-for-the-simulator"),
        backend=target.backend,
        max_runners=min(max_runners, target.max_runners),
        idle_timeout=5.0,
        start_timeout=60.0,
        runner_image=target.image,
        docker=target.docker,
        tart=target.tart,
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
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def leftovers(target: DemoTarget, state_dir: Path) -> list[str]:
    """Everything that the demo's daemon left on this machine, one line each."""
    left = [_described(one) for one in _processes(state_dir)]
    left += [f"directory {path}" for path in sorted(state_dir.glob("process/*/*"))]
    if target.backend == "tart":
        return left + tart_leftovers(state_dir)
    return left + (_engine_leftovers(target, state_dir) if target.backend == "docker" else [])


def _processes(state_dir: Path) -> list[psutil.Process]:
    """Child processes, and processes whose working directory or command line is in the state directory."""
    found = {one.pid: one for one in psutil.Process().children(recursive=True)}
    for one in psutil.process_iter():
        try:
            if str(state_dir) in one.cwd() or any(str(state_dir) in word for word in one.cmdline()):
                found[one.pid] = one
        except psutil.Error:
            continue
    found.pop(os.getpid(), None)
    return [one for one in found.values() if _is_alive(one)]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _described(process: psutil.Process) -> str:
    try:
        return f"process {process.pid}: {' '.join(process.cmdline())[:80]}"
    except psutil.Error:
        return f"process {process.pid}"


def _engine_leftovers(target: DemoTarget, state_dir: Path) -> list[str]:
    """Containers and volumes with this daemon's labels, as the engine lists them."""
    engine = Engine(EngineAddress.of(target.docker))
    label = f"{PREFIX}.state-dir={state_dir}"
    try:
        with engine.call("look for leftovers of the demo") as api:
            containers = api.containers(all=True, filters={"label": [label]})
            volumes = cast("VolumeApi", api).volumes(filters={"label": [label]})["Volumes"] or ()
    finally:
        engine.disconnect()
    return [f"container {str(one['Id'])[:12]}" for one in containers] + [
        f"volume {one['Name']}" for one in volumes
    ]


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdecimal() or ":" in host
