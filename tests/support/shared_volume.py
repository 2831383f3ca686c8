"""Files of any age in the shared volume of an engine, and what is left of them."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.engine import connect

from runscaler.backends.docker.container import SHARED_VOLUME
from runscaler.names import new_owner_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docker import APIClient

ROOT = "runner-shared"


@dataclass(frozen=True)
class Item:
    """A path in the volume, last changed `age` seconds ago: a file, a directory, or a link to `link`."""

    path: str
    age: float
    is_directory: bool = False
    link: str = ""
    size: int = 1


class SharedVolumeOn:
    """A container that never starts gives access to the volume, which is made if it is missing."""

    def __init__(self, url: str, image: str) -> None:
        self._url, self._image = url, image

    def put(self, items: Iterable[Item], now: float) -> None:
        """Directories after what is in them, as that makes them new."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for item in items:
                entry = tarfile.TarInfo(f"{ROOT}/{item.path}")
                entry.mtime, entry.mode = now - item.age, 0o755
                if item.is_directory:
                    entry.type = tarfile.DIRTYPE
                elif item.link:
                    entry.type, entry.linkname = tarfile.SYMTYPE, item.link
                else:
                    entry.size = item.size
                archive.addfile(entry, io.BytesIO(b"x" * entry.size))
        for api, container in self._opened():
            api.put_archive(container, "/", buffer.getvalue())

    def paths(self) -> set[str]:
        """All of them, without the root; directories without a slash at their end."""
        for api, container in self._opened():
            chunks, _ = api.get_archive(container, f"/{ROOT}")
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                names = [one.name.rstrip("/") for one in archive.getmembers()]
            return {name.removeprefix(f"{ROOT}/") for name in names} - {ROOT}
        raise AssertionError

    def _opened(self) -> Iterator[tuple[APIClient, str]]:
        mount = {"Type": "volume", "Source": SHARED_VOLUME, "Target": f"/{ROOT}"}
        body = {"Image": self._image, "Cmd": ["/"], "HostConfig": {"Mounts": [mount]}}
        with connect(self._url) as api:
            name = f"test-shared-volume-{new_owner_id()[:8]}"
            container = api.create_container_from_config(body, name)["Id"]
            try:
                yield api, container
            finally:
                api.remove_container(container, force=True)
