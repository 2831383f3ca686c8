"""The volume that all runners on an engine share. It belongs to the runner's user."""

from __future__ import annotations

import io
import tarfile
from secrets import token_hex
from typing import TYPE_CHECKING

from docker.errors import NotFound

from runscaler.backends.docker import answers
from runscaler.backends.docker.container import SHARED_VOLUME, shared_volume_mount
from runscaler.backends.docker.containers import discard
from runscaler.backends.docker.labels import MANAGED_BY, PREFIX, RUNNER, helper_labels
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.backends.base import BackendContext
    from runscaler.backends.docker.api import EngineApi
    from runscaler.backends.docker.engine import Engine
    from runscaler.interrupt import Interrupt
    from runscaler.names import OwnerId

RUNNER_UID, RUNNER_GID = 1001, 123
"""The user of the official image and its docker group (docs/protocol.md § 8.1)."""
TARGET = "runner-shared"
CREATION = f"{PREFIX}.made"


class SharedVolume:
    """Creates the volume, gives it to the runner's user, and holds it: a container that never starts mounts
    it for as long as the daemon lives, so that the engine does not remove it while there is no runner.

    Thread-safe.
    """

    def __init__(self, engine: Engine, context: BackendContext) -> None:
        self._engine = engine
        self._context = context
        self._preparing = InterruptibleSemaphore(1)
        self._ready = ""

    def prepare(self, image: str, platform: str, interrupt: Interrupt) -> None:
        """Return when the volume exists, belongs to 1001:123 and is held. Does it again if somebody replaced
        the volume or removed the container, and when `image`, which must be on the engine, is another one
        than that of the container: it would keep the old one on the disk."""
        doing = f"prepare the shared volume {SHARED_VOLUME} with image {image}"
        with self._preparing.held(interrupt), self._engine.call(doing, interrupt) as api:
            # An existing volume keeps its labels, so this label tells whether it is still the same one.
            labels = {MANAGED_BY: RUNNER, CREATION: token_hex(8)}
            volume = api.create_volume(SHARED_VOLUME, labels=labels)
            creation = (volume["Labels"] or {}).get(CREATION) or volume["CreatedAt"]
            if creation != self._ready or not self._is_held(api, image):
                self._change_owner(api, image, platform)
                self._ready = creation

    def _is_held(self, api: EngineApi, image: str) -> bool:
        try:
            held = api.inspect_container(holder_name(self._context.owner))
            config = answers.table(held.get("Config"), "the configuration of a container")
            return config.get("Image") != image or held.get("Image") == api.inspect_image(image).get("Id")
        except NotFound:
            return False

    def _change_owner(self, api: EngineApi, image: str, platform: str) -> None:
        """Unpack an archive with one directory onto the root of the volume, in the container that holds it.

        So the engine sets owner and mode. The image needs no shell and no sudo, and the content of the
        volume stays as it is.
        """
        name = holder_name(self._context.owner)
        discard(api, name)
        body = {
            "Image": image,
            "Cmd": ["/"],
            "Labels": helper_labels("shared-volume", self._context),
            "HostConfig": {"Mounts": [shared_volume_mount(f"/{TARGET}")], "NetworkMode": "none"},
        }
        created = api.create_container_from_config(body, name, platform or None)
        container = answers.identifier(created["Id"], "the id of a new container")
        try:
            api.put_archive(container, "/", directory_archive(TARGET, RUNNER_UID, RUNNER_GID))
        except BaseException:
            discard(api, container)
            raise


def holder_name(owner: OwnerId) -> str:
    return f"{TARGET}-{owner[:8]}"


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
