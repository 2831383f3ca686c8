"""When a builder of buildx last wrote to its volume.

The engine knows only when a volume was made. A builder with a fixed name leaves its cache behind between two
jobs (`keep-state`), when no container uses it. So a container that never starts mounts the volume, and the
engine is asked for the times of the files that every buildkitd writes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from runscaler.backends.docker import answers
from runscaler.backends.docker.api import path_stat, seconds_of
from runscaler.backends.docker.containers import discard, helper_called, is_gone
from runscaler.backends.docker.labels import helper_labels
from runscaler.errors import BackendDown, BackendError, ImageMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.backends.base import BackendContext
    from runscaler.backends.docker.engine import Engine
    from runscaler.interrupt import Interrupt

NAME = "runner-buildx-look"
"""The same for all daemons, so that the next look finds what a killed one left."""
ROOT = "/state"
FILES = (
    "",
    "/buildkitd.lock",
    "/cache.db",
    "/history.db",
    "/runc-overlayfs",
    "/runc-overlayfs/containerdmeta.db",
    "/runc-overlayfs/metadata_v2.db",
    "/runc-overlayfs/executor",
)
SECONDS = 20.0
NEVER = float("inf")


class VolumeUse:
    """`images` are those that may be on the engine."""

    def __init__(self, engine: Engine, context: BackendContext, images: Sequence[str]) -> None:
        self._engine = engine
        self._context = context
        self._images = images

    def last(self, volume: str, interrupt: Interrupt) -> float:
        """In wall-clock seconds of the engine's host; infinity, which is too young for every sweep, if that
        cannot be told. Raises `BackendError` if the engine cannot be asked, or the name is not ours."""
        for image in self._images:
            with suppress(ImageMissing):
                return self._look(volume, image, interrupt)
        return NEVER

    def _look(self, volume: str, image: str, interrupt: Interrupt) -> float:
        doing = f"look into volume {volume} with image {image}"
        mount = {"Type": "volume", "Source": volume, "Target": ROOT, "ReadOnly": True}
        body = {
            "Image": image,
            "Cmd": ["/"],
            "Labels": helper_labels("buildx", self._context),
            "HostConfig": {
                "Mounts": [{**mount, "VolumeOptions": {"NoCopy": True}}],
                "NetworkMode": "none",
            },
        }
        container = ""
        with self._engine.call(doing, interrupt, seconds=SECONDS) as api:
            if (earlier := helper_called(api, NAME)) is not None:
                discard(api, answers.identifier(earlier["Id"], "the id of a container"))
        try:
            with self._engine.call(doing, interrupt, seconds=SECONDS) as api:
                created = api.create_container_from_config(body, NAME, None)
                container = answers.identifier(created["Id"], "the id of a new container")
                stats = [path_stat(api, container, f"{ROOT}{path}")[0] for path in FILES]
                # If another daemon's look took its name, what is missing may be there.
                if is_gone(api, container):
                    return NEVER
        except (BackendDown, ImageMissing):
            raise
        except BackendError:
            return NEVER
        finally:
            if container:
                with suppress(BackendError), self._engine.call(doing, seconds=SECONDS) as api:
                    discard(api, container)
        times = [seconds_of(str(stat.get("mtime", ""))) for stat in stats if stat]
        return max(times, default=NEVER) or NEVER
