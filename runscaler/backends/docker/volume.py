"""The volume that all runners on an engine share. It belongs to the runner's user."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

from docker.errors import NotFound

from runscaler.backends.docker import answers
from runscaler.backends.docker.container import SHARED_VOLUME, shared_volume_mount
from runscaler.backends.docker.labels import HELPER, MANAGED_BY, OWNER, PREFIX, RUNNER
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.backends.docker.api import EngineApi
    from runscaler.backends.docker.engine import Engine
    from runscaler.interrupt import Interrupt
    from runscaler.names import OwnerId

RUNNER_UID, RUNNER_GID = 1001, 123
"""The user of the official image and its docker group (docs/protocol.md § 8.1)."""
TARGET = "runner-shared"
CREATION = f"{PREFIX}.made"


class SharedVolume:
    """Creates the volume and gives it to the runner's user; again if somebody replaces it. Thread-safe."""

    def __init__(self, engine: Engine, owner: OwnerId) -> None:
        self._engine = engine
        self._owner = owner
        self._preparing = InterruptibleSemaphore(1)
        self._ready = ""

    def prepare(self, image: str, platform: str, interrupt: Interrupt) -> None:
        """Return when the volume exists and belongs to 1001:123. `image` must be on the engine: a container
        of it is used to change the owner."""
        doing = f"prepare the shared volume {SHARED_VOLUME} with image {image}"
        with self._preparing.held(interrupt), self._engine.call(doing, interrupt) as api:
            # An existing volume keeps its labels, so this label tells whether it is still the same one.
            labels = {MANAGED_BY: RUNNER, CREATION: token_hex(8)}
            volume = api.create_volume(SHARED_VOLUME, labels=labels)
            creation = (volume["Labels"] or {}).get(CREATION) or volume["CreatedAt"]
            if creation != self._ready:
                self._change_owner(api, image, platform)
                self._ready = creation

    def _change_owner(self, api: EngineApi, image: str, platform: str) -> None:
        """Unpack an archive with one directory onto the root of the volume, in a container that never starts.

        So the engine sets owner and mode. The image needs no shell and no sudo, and the content of the
        volume stays as it is.
        """
        name = f"runner-shared-{self._owner[:8]}"
        _discard(api, name)
        body = {
            "Image": image,
            "Cmd": ["/"],
            "Labels": {MANAGED_BY: RUNNER, OWNER: self._owner, HELPER: "shared-volume"},
            "HostConfig": {"Mounts": [shared_volume_mount(f"/{TARGET}")], "NetworkMode": "none"},
        }
        created = api.create_container_from_config(body, name, platform or None)
        container = answers.identifier(created["Id"], "the id of a new container")
        try:
            api.put_archive(container, "/", directory_archive(TARGET, RUNNER_UID, RUNNER_GID))
        finally:
            _discard(api, container)


def _discard(api: EngineApi, container: str) -> None:
    with suppress(NotFound):
        api.remove_container(container, v=True, force=True)


def directory_archive(name: str, uid: int, gid: int) -> bytes:
    """A tar archive of one empty directory, writable by its group, which new files in it inherit."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o2775, uid, gid
    return _archive({entry: b""})


def file_archive(files: Mapping[str, bytes]) -> bytes:
    """A tar archive of files that everyone may read, by their paths. The engine makes missing directories."""
    entries = {tarfile.TarInfo(path.lstrip("/")): content for path, content in files.items()}
    for entry, content in entries.items():
        entry.mode, entry.size = 0o644, len(content)
    return _archive(entries)


def _archive(entries: Mapping[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry, content in entries.items():
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
