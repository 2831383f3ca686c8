"""Tests on a real Docker engine: a client, an image with a shell, and the rig for the backend contract."""

from __future__ import annotations

import hashlib
import io
import shlex
import shutil
import tarfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from docker import APIClient
from docker.errors import NotFound
from support.missing import missing

from runscaler.backends.base import BackendContext
from runscaler.backends.docker import factory
from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.transport import EngineAdapter, pool_for
from runscaler.clock import SystemClock
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.ops.doctor.owners import is_dead
from runscaler.testing.backend_contract import RunnerScript

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import Backend, Resource
    from runscaler.names import OwnerId

URL = "https://github.com/my-org"
SHELL_TOOLS = (
    *("sh", "sleep", "cat", "echo", "id", "stat", "kill", "ls", "env", "touch", "head", "tail", "cp"),
    *("find", "tr", "wc", "rm", "rmdir"),
)
OLDEST_API = "1.41"


def engine_address(url: str) -> EngineAddress:
    """With the certificates that DOCKER_TLS_VERIFY and DOCKER_CERT_PATH name."""
    return EngineAddress.of(DockerSettings(docker_host=url))


@contextmanager
def connect(url: str) -> Iterator[APIClient]:
    """A docker-py client on our transport, because its own one leaves sockets open."""
    client = APIClient("unix:///engine", version=OLDEST_API)
    client.mount("http+docker://", EngineAdapter(pool_for(engine_address(url), 4)))
    with closing(client):
        yield client


def shell_image(url: str) -> str:
    """The name of a local image with a shell and the user `runner` (1001:123); imports it if missing."""
    layer = shell_layer()
    name = f"runscaler-test-shell:{hashlib.sha256(layer).hexdigest()[:12]}"
    with connect(url) as api:
        try:
            api.inspect_image(name)
        except NotFound:
            # Podman 4.3 takes no tag of its own.
            api.import_image_from_data(layer, name)
    return name


def shell_layer() -> bytes:
    """The root file system of that image as a tar archive, always with the same bytes."""
    busybox = Path(
        shutil.which("busybox") or missing("busybox (static) for the image of runners")
    ).read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for folder in ("bin", "etc", "home"):
            _add_folder(layer, folder)
        _add(layer, "bin/busybox", busybox, 0o755)
        for tool in SHELL_TOOLS:
            link = tarfile.TarInfo(f"bin/{tool}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(link)
        _add(layer, "etc/passwd", b"root:x:0:0::/:/bin/sh\nrunner:x:1001:123::/home/runner:/bin/sh\n")
        _add(layer, "etc/group", b"root:x:0:\ndocker:x:123:\n")
        _add_folder(layer, "home/runner", 1001, 123)
        _add(layer, "home/runner/run.sh", b"#!/bin/sh\nexec sleep 600\n", 0o755)
    return buffer.getvalue()


def _add(layer: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.mode, entry.size = mode, len(content)
    layer.addfile(entry, io.BytesIO(content))


def _add_folder(layer: tarfile.TarFile, path: str, uid: int = 0, gid: int = 0) -> None:
    """Named, because old engines make missing ones for themselves alone."""
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, uid, gid
    layer.addfile(entry)


class DockerRig:
    """The backend contract's rig on a real engine; a runner's script is the command of its container."""

    def __init__(self, url: str, image: str) -> None:
        self.url = url
        self.image = image
        self._owners: set[OwnerId] = set()

    def open(self, owner: OwnerId) -> Backend:
        return self.open_with(self.settings(RunnerScript()), owner)

    def open_with(self, settings: ScaleSetSettings, owner: OwnerId, state_dir: Path | None = None) -> Backend:
        self._owners.add(owner)
        return factory.create(settings, BackendContext(owner, state_dir, SystemClock(), is_dead))

    def settings(self, script: RunnerScript, **docker: object) -> ScaleSetSettings:
        keys: dict[str, object] = {
            "docker_host": self.url,
            "dind": False,
            "pull": "never",
            "network": "none",
            "run_command": f"/bin/sh -c {shlex.quote(script.shell)}",
        }
        return self._settings(self.image, {**keys, **docker})

    def unusable_settings(self) -> ScaleSetSettings:
        return self._settings(
            "runscaler-test-absent:1", {"docker_host": self.url, "dind": False, "pull": "never"}
        )

    def destroy(self, resource: Resource) -> None:
        with connect(self.url) as api:
            api.remove_container(resource.id, force=True)

    def leftovers(self) -> list[str]:
        """Containers of the rig's owners, since others may use the engine at the same time."""
        with connect(self.url) as api:
            return [
                name.lstrip("/")
                for owner in self._owners
                for label in ("owner", "helper.owner")
                for listed in api.containers(all=True, filters={"label": f"io.runscaler.{label}={owner}"})
                for name in listed["Names"]
            ]

    def _settings(self, image: str, docker: dict[str, object]) -> ScaleSetSettings:
        return ScaleSetSettings(
            url=URL,
            name="Größe \"1\" = 'a'",
            token=Secret("t"),
            runner_image=image,
            docker=DockerSettings(**docker),
        )
