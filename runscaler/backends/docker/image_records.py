"""What this daemon knows of runner images on an engine: a file in state-dir, so that images whose tag went on
to a newer one can be told from others' (docs/behaviour.md § 7.1).

Losing it costs time only: what is found again counts as used at that moment.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from loguru import logger
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from runscaler.files import replace_file
from runscaler.private_files import private_directory, read_private

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

FOLDER = "docker"
MOST_IMAGES = 1000


class ImageRecord(BaseModel):
    """A runner image. `repositories` are those of the settings that it was for ("docker.io/library/ubuntu"),
    `pulled` the names under which this daemon pulled it. `last_used` is when it was last seen to be in use,
    in wall-clock seconds."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    repositories: frozenset[str] = frozenset()
    pulled: frozenset[str] = frozenset()
    last_used: FiniteFloat = Field(default=0.0, ge=0.0)


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    engine: str = ""
    images: dict[str, ImageRecord] = Field(default_factory=dict, max_length=MOST_IMAGES)


class ImageRecords:
    """Of one engine, by the ids of images. Thread-safe. Without a `state_dir` it knows what it was told."""

    def __init__(self, state_dir: Path | None, engine: str) -> None:
        self._state_dir, self._engine = state_dir, engine
        self._name = f"images-{hashlib.sha256(engine.encode()).hexdigest()[:12]}.json"
        self._lock = threading.Lock()
        self._images: dict[str, ImageRecord] | None = None
        self._has_warned = False

    def all(self) -> dict[str, ImageRecord]:
        with self._lock:
            return dict(self._known())

    def is_wanted(self, image: str, repository: str, now: float, pulled_as: str = "") -> None:
        """A scale set names it now. `pulled_as`: the name under which it was pulled just now."""
        with self._lock:
            known = self._known()
            before = known.get(image, ImageRecord())
            known[image] = ImageRecord(
                repositories=before.repositories | {repository},
                pulled=before.pulled | ({pulled_as} - {""}),
                last_used=now,
            )
            self._save()

    def look(self, present: Collection[str], used: Iterable[str], now: float) -> None:
        """Of those `present` on the engine, these are `used`. What is not there any more is forgotten."""
        with self._lock:
            known = self._known()
            for image in known.keys() - set(present):
                del known[image]
            for image in known.keys() & set(used):
                known[image] = known[image].model_copy(update={"last_used": now})
            self._save()

    def _known(self) -> dict[str, ImageRecord]:
        if self._images is None:
            self._images = self._read()
        return self._images

    def _read(self) -> dict[str, ImageRecord]:
        if self._state_dir is None:
            return {}
        try:
            content = read_private(self._state_dir / FOLDER / self._name)
            return _File.model_validate_json(content, strict=False).images
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            logger.debug("the records of images on {} are begun anew: {}", self._engine, error)
            return {}

    def _save(self) -> None:
        if self._state_dir is None:
            return
        content = _File(engine=self._engine, images=self._newest()).model_dump_json()
        try:
            directory = private_directory(self._state_dir, FOLDER)
            replace_file(directory / self._name, content.encode())
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                logger.warning("what is known of runner images cannot be kept: {}", error)

    def _newest(self) -> dict[str, ImageRecord]:
        by_use = sorted(self._known().items(), key=lambda one: one[1].last_used)
        return dict(by_use[-MOST_IMAGES:])
