"""What tells a scale set from the others in log lines and events: two may share a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from runscaler.config.model import ScaleSetSettings


class Place(TypedDict):
    scale_set: str
    url: str
    runner_group: str


SHARED: Place = {"scale_set": "", "url": "", "runner_group": ""}
"""Of what belongs to no scale set."""


def place_of(settings: ScaleSetSettings) -> Place:
    return {"scale_set": settings.name, "url": settings.url, "runner_group": settings.runner_group}
