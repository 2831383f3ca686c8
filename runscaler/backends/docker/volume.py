"""The volume that all runners on an engine share, owned by the runner's user before it is used."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

from docker.errors import NotFound

from runscaler.backends.docker.container import SHARED_VOLUME, shared_volume_mount
from runscaler.backends.docker.labels import HELPER, MANAGED_BY, OWNER, PREFIX, RUNNER
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    from runscaler.backends.docker.api import EngineApi
    from runscaler.backends.docker.engine import Engine
    from runscaler.interrupt import Interrupt
    from runscaler.names import OwnerId

RUNNER_UID, RUNNER_GID = 1001, 123
"""The official image's user, and its docker group (docs/protocol.md § 8.1)."""
TARGET = "runner-shared"
MADE = f"{PREFIX}.made"


class SharedVolume:
    """Made and handed to the runner's user once, and again if somebody replaced it. Thread-safe."""

    def __init__(self, engine: Engine, owner: OwnerId) -> None:
        self._engine = engine
        self._owner = owner
        self._turn = InterruptibleSemaphore(1)
        self._ready = ""

    def prepare(self, image: str, platform: str, interrupt: Interrupt) -> None:
        """Present and owned 1001:123 when it returns. `image` is present and lends its file system."""
        doing = f"prepare the shared volume {SHARED_VOLUME} with image {image}"
        with self._turn.held(interrupt), self._engine.call(doing, interrupt) as api:
            # The engine leaves an existing volume as it is, so that its mark tells it from a successor.
            labels = {MANAGED_BY: RUNNER, MADE: token_hex(8)}
            volume = api.create_volume(SHARED_VOLUME, labels=labels)
            made = (volume["Labels"] or {}).get(MADE) or volume["CreatedAt"]
            if made != self._ready:
                self._hand_over(api, image, platform)
                self._ready = made

    def _hand_over(self, api: EngineApi, image: str, platform: str) -> None:
        """Unpack a directory entry onto the volume's root, through a container that never starts.

        The engine itself then sets owner and mode: no shell, no sudo, nothing needed in the image,
        and what lies in the volume is not touched.
        """
        name = f"runner-shared-{self._owner[:8]}"
        _discard(api, name)
        body = {
            "Image": image,
            "Cmd": ["/"],
            "Labels": {MANAGED_BY: RUNNER, OWNER: self._owner, HELPER: "shared-volume"},
            "HostConfig": {"Mounts": [shared_volume_mount(f"/{TARGET}")], "NetworkMode": "none"},
        }
        container = api.create_container_from_config(body, name, platform or None)["Id"]
        try:
            api.put_archive(container, "/", directory_archive(TARGET, RUNNER_UID, RUNNER_GID))
        finally:
            _discard(api, container)


def _discard(api: EngineApi, container: str) -> None:
    with suppress(NotFound):
        api.remove_container(container, force=True)


def directory_archive(name: str, uid: int, gid: int) -> bytes:
    """A tar archive of one directory entry, group-writable and with its group passed on."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o2775, uid, gid
    return _archive(entry, b"")


def file_archive(path: str, content: bytes) -> bytes:
    """A tar archive of one file that everyone may read; missing directories are made by the engine."""
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.mode, entry.size = 0o644, len(content)
    return _archive(entry, content)


def _archive(entry: tarfile.TarInfo, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
