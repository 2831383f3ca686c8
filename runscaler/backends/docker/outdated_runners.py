"""Which runners were made of an image that their scale set's `runner-image` does not name any more: a newer
one was pulled, or built on this engine, or the settings name another (docs/behaviour.md § 7.1).

The proof is the engine's: it is asked what the name means now, and what image the container's is. Each image
is asked for once an inventory, not each container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import APIError
from loguru import logger

from runscaler.backends.base import ResourceState
from runscaler.backends.docker.answers import Nonsense, table
from runscaler.backends.docker.image_request import ImageRequest
from runscaler.backends.docker.images import image_id, inspected, spelled_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.backends.base import Resource
    from runscaler.backends.docker.api import EngineApi, Inspection
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import ScaleSetKey


class OutdatedRunners:
    """Thread-safe. Knows of the scale sets that it was told of only."""

    def __init__(self) -> None:
        self._wanted: dict[ScaleSetKey, ImageRequest] = {}
        self._same: dict[str, str] = {}
        """What the engine says is the id of the image that it lists for a container."""

    def expect(self, settings: ScaleSetSettings) -> None:
        """Its runners are to be of this image from now on."""
        self._wanted[settings.key] = ImageRequest.of(settings)

    def among(
        self, api: EngineApi, listed: Sequence[Inspection], resources: Sequence[Resource]
    ) -> dict[str, str]:
        """Why a running resource is outdated, by its id, out of the engine's list of containers."""
        image_of = {str(one.get("Id")): spelled_id(one.get("ImageID")) for one in listed}
        self._same = {image: same for image, same in self._same.items() if image in image_of.values()}
        wanted = {
            resource.id: self._wanted[resource.key]
            for resource in resources
            if resource.state is ResourceState.RUNNING
            and resource.key in self._wanted
            and image_of.get(resource.id)
        }
        requests = {request.key: request for request in wanted.values()}
        now = {key: _id_of(api, request) for key, request in requests.items()}
        return {
            container: f"{request.image} names another image than theirs now"
            for container, request in wanted.items()
            if self._differ(api, image_of[container], now[request.key])
        }

    def _differ(self, api: EngineApi, image: str, now: str) -> bool:
        if not now or image == now:
            return False
        if image not in self._same:
            # An engine may list another id of the same image.
            self._same[image] = _id_of(api, ImageRequest(image))
        return bool(self._same[image]) and self._same[image] != now


def _id_of(api: EngineApi, request: ImageRequest) -> str:
    """Empty if the engine does not have it or cannot tell."""
    try:
        found = inspected(api, request)
        return "" if found is None else image_id(table(found, "the image"))
    except (APIError, Nonsense) as error:
        logger.debug("what {} is cannot be told: {}", request, error)
        return ""
