"""What `docker buildx` leaves on an engine, made with a stand-in for the image moby/buildkit.

No registry can be reached from everywhere, so `buildkitd` of the stand-in is a script that waits on a pipe in
the image, as a process that made one would be taken for a build. Names, mounts and settings of its containers
are those that buildx gives them.
"""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING

from docker.errors import NotFound
from support.engine import shell_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docker import APIClient

IMAGE = "moby/buildkit:buildx-stable-1"
PREFIX = "buildx_buildkit_"
DAEMON = ("buildkitd",)
BUILDING = ("buildkitd", "a step")
"""The daemon with a process below it, as it has while a step of a build runs."""
STATE = "/var/lib/buildkit"
SCRIPT = b"""#!/bin/sh
if [ $# != 0 ]; then sleep 600 & fi
read -r _ < /wait
"""


class Buildx:
    def __init__(self, api: APIClient, now: float) -> None:
        self._api, self._now = api, now
        try:
            api.inspect_image(IMAGE)
        except NotFound:
            api.import_image_from_data(_layer(), *IMAGE.split(":"))

    def builder(
        self,
        name: str,
        command: Sequence[str] = DAEMON,
        image: str = IMAGE,
        *,
        started: bool = True,
        init: bool = True,
    ) -> str:
        """A builder; returns the name of its container."""
        container = f"{PREFIX}{name}0"
        mount = {"Type": "volume", "Source": f"{container}_state", "Target": STATE}
        host = {"Init": init, "Mounts": [mount], "NetworkMode": "none"}
        body = {"Image": image, "Cmd": list(command), "HostConfig": host}
        self._api.create_container_from_config(body, container)
        if started:
            self._api.start(container)
        return container

    def volume(self, name: str, *, last_used: float = 0.0) -> str:
        """A volume that no container uses, whose builder last wrote to it so many seconds ago."""
        volume = f"{PREFIX}{name}"
        self._api.create_volume(volume)
        with tarfile.open(fileobj=(content := io.BytesIO()), mode="w") as archive:
            for path, kind in (("state/cache.db", tarfile.REGTYPE), ("state", tarfile.DIRTYPE)):
                entry = tarfile.TarInfo(path)
                entry.type, entry.mtime, entry.mode = kind, int(self._now - last_used), 0o755
                archive.addfile(entry)
        mount = {"Type": "volume", "Source": volume, "Target": "/state"}
        body = {"Image": IMAGE, "Cmd": ["/"], "HostConfig": {"Mounts": [mount]}}
        container = self._api.create_container_from_config(body)["Id"]
        self._api.put_archive(container, "/", content.getvalue())
        self._api.remove_container(container)
        return volume

    def begin_build(self, container: str) -> None:
        """As a client does: a process in the container for as long as it builds."""
        made = self._api.exec_create(container, ["sleep", "600"])
        self._api.exec_start(made["Id"], detach=True)

    def containers(self) -> set[str]:
        return {one["Names"][0].lstrip("/") for one in self._api.containers(all=True)}

    def volumes(self) -> set[str]:
        return {one["Name"] for one in self._api.volumes()["Volumes"] or ()}

    def discard_all(self) -> None:
        for name in self.containers():
            with suppress(NotFound):
                self._api.remove_container(name, force=True)
        for name in self.volumes():
            with suppress(NotFound):
                self._api.remove_volume(name)


def _layer() -> bytes:
    buffer = io.BytesIO(shell_layer())
    with tarfile.open(fileobj=buffer, mode="a") as layer:
        entry = tarfile.TarInfo("bin/buildkitd")
        entry.mode, entry.size = 0o755, len(SCRIPT)
        layer.addfile(entry, io.BytesIO(SCRIPT))
        fifo = tarfile.TarInfo("wait")
        fifo.type, fifo.mode = tarfile.FIFOTYPE, 0o666
        layer.addfile(fifo)
    return buffer.getvalue()
