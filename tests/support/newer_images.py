"""A memory backend whose runners are in images that may be had newer."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from runscaler.backends.memory import MemoryBackend

if TYPE_CHECKING:
    from runscaler.config.model import ScaleSetSettings


class NewerImages(MemoryBackend):
    """`looks` says whether it looks for a newer image when it is told that GitHub refuses the version."""

    interval = inf
    looks = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.refused: list[str] = []
        """The scale set of each refusal that it was told of."""

    def pull_interval(self, settings: ScaleSetSettings) -> float:
        return self.interval

    def look_for_newer_image(self, settings: ScaleSetSettings) -> bool:
        self.refused.append(settings.name)
        return self.looks
