"""Removes runner images that nothing has used for a while (docs/behaviour.md § 7.1).

Engines do not tell when an image was last used. So this daemon keeps its own account of the images that it
knows to be runner images; "unused" means that for so long no scale set has named it, and at each look no
container of anybody, running or not, was made of it. Before one goes, the engine must agree: its own time of
the last tagging, which it tells where somebody gave the image a name, is as old, and it removes the image
without force, which it refuses for one in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docker.errors import APIError, ImageNotFound
from loguru import logger

from runscaler.backends.base import Sweep, SweepResult, SweepTarget
from runscaler.backends.docker import answers
from runscaler.backends.docker.api import seconds_of
from runscaler.backends.docker.errors import CONFLICT, explanation, status
from runscaler.backends.docker.image_names import familiar
from runscaler.backends.docker.image_references import ImageReference
from runscaler.backends.docker.image_request import ImageRequest
from runscaler.backends.docker.images import image_id, inspected, spelled_id
from runscaler.errors import ImageMissing
from runscaler.units import format_bytes
from runscaler.untrusted import in_one_line, is_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runscaler.backends.docker.api import EngineApi, Inspection
    from runscaler.backends.docker.engine import Engine
    from runscaler.backends.docker.image_records import ImageRecord, ImageRecords
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings

NAME = "pruning of runner images"
LONGEST_INTERVAL = 6 * 3600.0
NO_TAG = "<none>:<none>"


@dataclass(frozen=True, slots=True)
class _Image:
    """An image on the engine; `repositories` are those of its digests."""

    id: str
    tags: tuple[str, ...]
    repositories: frozenset[str]
    size: int

    @classmethod
    def of(cls, listed: Inspection) -> _Image:
        size = listed.get("Size")
        return cls(
            image_id(listed),
            tuple(tag for tag in _texts(listed.get("RepoTags")) if tag != NO_TAG),
            frozenset(_repositories(_texts(listed.get("RepoDigests")))),
            size if isinstance(size, int) and is_number(size) else 0,
        )

    @property
    def name(self) -> str:
        return self.tags[0] if self.tags else f"{min(self.repositories, default='image')} ({self.id[7:19]})"


@dataclass(frozen=True, slots=True)
class _Look:
    """What is on the engine at a moment."""

    images: Mapping[str, _Image]
    used: frozenset[str]


class ImagePruning:
    """For the scale sets of one engine. Of their `prune-images-after` the longest counts; images of the
    repository of one that wants none pruned stay."""

    def __init__(
        self, engine: Engine, clock: Clock, records: ImageRecords, settings: Sequence[ScaleSetSettings]
    ) -> None:
        self._engine, self._clock, self._records = engine, clock, records
        self._wanted = [wanted for one in settings for wanted in ImageRequest.all_of(one)]
        self.after = max((one.docker.prune_images_after for one in settings), default=0.0)
        """Seconds; 0: nothing is pruned."""
        self._spared = frozenset(
            _repositories(
                wanted.image
                for one in settings
                if not one.docker.prune_images_after
                for wanted in ImageRequest.all_of(one)
            )
        )

    def sweeps(self) -> list[Sweep]:
        interval = min(self.after, LONGEST_INTERVAL)
        return [Sweep(NAME, interval, self.run, self.plan, "images")] if self.after else []

    def plan(self) -> list[SweepTarget]:
        """What `run` would remove now, with the engine's sizes, which include layers that
        others share. Changes nothing. Raises `BackendError`."""
        if not self.after:
            return []
        with self._engine.call("look for unused runner images") as api:
            look = self._look(api)
            return [SweepTarget("image", one.name, one.size) for one in self._due(api, look)]

    def run(self) -> SweepResult:
        """The bytes include layers that other images share. Raises `BackendError`."""
        with self._engine.call("remove unused runner images") as api:
            look = self._look(api)
            self._account(look)
            gone = [one for one in self._due(api, look) if _removed(api, one)]
        if not gone:
            return SweepResult()
        names = ", ".join(in_one_line(one.name, 100) for one in gone)
        size = sum(one.size for one in gone)
        return SweepResult(f"removed {names} (up to {format_bytes(size)})", len(gone), size)

    def _look(self, api: EngineApi) -> _Look:
        images = [_Image.of(one) for one in answers.tables(api.images(), "the list of images")]
        containers = answers.tables(api.containers(all=True, filters={}), "the list of containers")
        named = {familiar(str(one.get("Image"))) for one in containers}
        used = {spelled_id(one.get("ImageID")) for one in containers}
        used |= {one.id for one in images if any(familiar(tag) in named for tag in one.tags)}
        used |= {image_id(found) for wanted in self._wanted if (found := inspected(api, wanted)) is not None}
        return _Look({one.id: one for one in images if one.id}, frozenset(used))

    def _account(self, look: _Look) -> None:
        """Bring the records up to date. What is seen for the first time counts as used now."""
        now, known = self._clock.wall(), self._records.all()
        for one in look.images.values():
            if one.id not in known and not one.tags:
                for repository in one.repositories & self._repositories():
                    self._records.is_wanted(one.id, repository, now)
        self._records.look(look.images.keys(), look.used, now)

    def _repositories(self) -> frozenset[str]:
        return frozenset(_repositories(wanted.image for wanted in self._wanted))

    def _due(self, api: EngineApi, look: _Look) -> list[_Image]:
        """Oldest first."""
        limit = self._clock.wall() - self.after
        known = sorted(self._records.all().items(), key=lambda one: one[1].last_used)
        return [
            image
            for found, record in known
            if (image := look.images.get(found)) is not None
            and found not in look.used
            and record.last_used <= limit
            and not record.repositories & self._spared
            and _is_ours(image, record)
            and _last_tagged(api, image) <= limit
        ]


def _is_ours(image: _Image, record: ImageRecord) -> bool:
    """It has lost its tag to a newer one, or has only names under which this daemon pulled it."""
    pulled = {familiar(name) for name in record.pulled}
    return all(familiar(tag) in pulled for tag in image.tags)


def _last_tagged(api: EngineApi, image: _Image) -> float:
    """In wall-clock seconds of the engine; 0 if it does not tell, infinity if the image is gone."""
    try:
        found = answers.table(api.inspect_image(image.id), "the image")
    except ImageNotFound:
        return float("inf")
    metadata = found.get("Metadata")
    return seconds_of(str(metadata.get("LastTagTime", ""))) if answers.is_table(metadata) else 0.0


def _removed(api: EngineApi, image: _Image) -> bool:
    """Name by name, and never by force: the engine refuses where it is in use after all."""
    try:
        for name in image.tags or (image.id,):
            api.remove_image(name, noprune=True)
    except ImageNotFound:
        return False
    except APIError as error:
        level = "DEBUG" if status(error) == CONFLICT else "WARNING"
        logger.log(level, "image {} stays: {}", image.name, explanation(error))
        return False
    return True


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _repositories(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        try:
            yield ImageReference.of(name).full_repository
        except ImageMissing:
            continue
