"""Runner images: pulled as the settings say, once for all scale sets."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from typing import TYPE_CHECKING

from docker.errors import ImageNotFound
from loguru import logger

from runscaler.backends.docker import answers
from runscaler.backends.docker.api import seconds_of
from runscaler.backends.docker.image_records import ImageRecords
from runscaler.backends.docker.joined_pull import JoinedPull
from runscaler.backends.docker.pulls import Pulls
from runscaler.errors import BackendDown, ImageMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.backends.base import Progress
    from runscaler.backends.docker.api import EngineApi, Inspection
    from runscaler.backends.docker.engine import Engine
    from runscaler.backends.docker.image_request import ImageRequest
    from runscaler.backends.docker.joined_pull import Ticket
    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt

OLD_DAYS = 25
"""An image of this age is warned about: GitHub refuses runners a month behind (docs/protocol.md § 8.5)."""
RETRY_SECONDS = 3600.0
"""A pull that failed although the image is there is tried again after this, or after a shorter interval."""
AGAIN_SECONDS = 3600.0
"""An image whose runner GitHub refuses is looked for again at most this often."""
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")


class Images:
    """The runner images of one engine. Thread-safe."""

    def __init__(self, engine: Engine, clock: Clock, records: ImageRecords | None = None) -> None:
        self._engine = engine
        self._clock = clock
        self._records = ImageRecords(None, engine.url) if records is None else records
        self._pulls = Pulls(engine, clock)
        self._lock = threading.Lock()
        self._joined: dict[tuple[str, str], JoinedPull] = defaultdict(JoinedPull)
        self._pulled: dict[tuple[str, str], float] = {}
        self._built: dict[tuple[str, str], float] = {}
        """When the image was built that is there as of the last `ensure`; 0 if unknown."""
        self._failed: dict[tuple[object, object], float] = {}
        self._refused: dict[tuple[str, str], float] = {}
        """When GitHub refused the runner of an image, and a newer one was last looked for because of that."""
        self._wanted_again: set[tuple[str, str]] = set()

    def ensure(self, wanted: ImageRequest, progress: Progress, interrupt: Interrupt) -> None:
        """Return when the image is on the engine. Raises `ImageMissing` if it cannot be had.

        Blocks until a call for the same image on another thread has ended, with its progress.
        """
        with self._lock:
            pull = self._joined[wanted.key]
        with pull.joined(progress, interrupt) as ticket:
            image = self._ensure(wanted, pull, ticket, interrupt)
            self._built[wanted.key] = built_at(image)

    def built(self, wanted: ImageRequest) -> float | None:
        """When the image was built that the last `ensure` found or pulled, in wall-clock seconds; None if
        unknown. Does not block."""
        built = self._built.get(wanted.key, 0.0)
        return built if built > 0 else None

    def _ensure(
        self, wanted: ImageRequest, pull: JoinedPull, ticket: Ticket, interrupt: Interrupt
    ) -> Inspection:
        """Returns the image that is there now."""
        before = self.inspect(wanted, interrupt)
        if before is not None and not self._is_due(wanted):
            self._note(wanted, before, pulled=False)
            return before
        if before is None and wanted.pull == "never":
            raise ImageMissing(
                f'{wanted} is not on the engine {self._engine.url}, and pull is "never"',
                fixes=(f"pull it: `docker pull {wanted.image}`", 'set pull = "missing"'),
            )
        if before is None:
            pull.raise_shared(ticket, wanted.way)
        was_pulled = self._pull(wanted, pull, interrupt, present=before is not None)
        image = before if before and not was_pulled else self._pulled_one(wanted, before, interrupt)
        self._warn_if_old(wanted, image)
        return image

    def _warn_if_old(self, wanted: ImageRequest, image: Inspection) -> None:
        age = self._days_since(built_at(image))
        if wanted.is_runner and age >= OLD_DAYS:
            logger.warning("{} is {} days old: GitHub refuses runners a month behind", wanted, age)

    def _pull(self, wanted: ImageRequest, pull: JoinedPull, interrupt: Interrupt, *, present: bool) -> bool:
        """False if that failed, and the image that is on the engine already is used as it is."""
        now = self._clock.monotonic
        try:
            self._pulls.pull(wanted, pull.tell, interrupt)
        except BackendDown:
            raise
        except ImageMissing as error:
            pull.failed(wanted.way, error)
            self._failed[wanted.key, wanted.way] = now()
            self._wanted_again.discard(wanted.key)
            if not present:
                raise
            logger.warning("{}; the image on the engine is used", error)
            return False
        self._pulled[wanted.key] = now()
        return True

    def _pulled_one(
        self, wanted: ImageRequest, before: Inspection | None, interrupt: Interrupt
    ) -> Inspection:
        """Say what a pull has changed. Returns the image that is there now."""
        after, again = self.inspect(wanted, interrupt), wanted.key in self._wanted_again
        self._wanted_again.discard(wanted.key)
        if after is None:
            raise ImageMissing(f"{wanted} was pulled, and is not on the engine {self._engine.url}")
        is_new = before is None or image_id(before) != image_id(after)
        self._note(wanted, after, pulled=is_new)
        if before is not None and is_new:
            logger.info("a newer {} was pulled: the next runners use it", wanted)
        elif again:
            logger.warning("there is no newer {}: GitHub goes on refusing its runner", wanted)
        return after

    def _is_due(self, wanted: ImageRequest) -> bool:
        """Is an image that is there to be looked for at its registry?"""
        if wanted.pull != "never" and wanted.key in self._wanted_again:
            return True
        return wanted.pull == "always" and not self._is_fresh(wanted)

    def _is_fresh(self, wanted: ImageRequest) -> bool:
        """Pulled for whichever scale set; or tried the same way, in vain."""
        now, interval = self._clock.monotonic(), wanted.due_after
        failed = self._failed.get((wanted.key, wanted.way))
        if failed is not None and now - failed < min(interval, RETRY_SECONDS):
            return True
        pulled = self._pulled.get(wanted.key)
        return pulled is not None and now - pulled < interval

    def look_again(self, wanted: ImageRequest) -> bool:
        """GitHub refuses the image's runner: let the next `ensure` look for a newer one, whatever its
        interval. False if that was done within the last hour, or is forbidden. Does not block."""
        now = self._clock.monotonic()
        with self._lock:
            refused = self._refused.get(wanted.key)
            if wanted.pull == "never" or (refused is not None and now - refused < AGAIN_SECONDS):
                return False
            self._refused[wanted.key] = now
            self._wanted_again.add(wanted.key)
        return True

    def _note(self, wanted: ImageRequest, image: Inspection, *, pulled: bool) -> None:
        """Remember that this is a runner image, for when its tag has gone on to another."""
        if found := image_id(image):
            repository = wanted.reference.full_repository
            self._records.is_wanted(found, repository, self._clock.wall(), wanted.image if pulled else "")

    def find(self, wanted: ImageRequest, interrupt: Interrupt | None = None) -> float | None:
        """When it was built, in wall-clock seconds; None if the engine does not have it for that platform."""
        found = self.inspect(wanted, interrupt)
        return built_at(found) if found is not None else None

    def inspect(self, wanted: ImageRequest, interrupt: Interrupt | None = None) -> Inspection | None:
        """What the engine says about it; None if it does not have it for that platform."""
        with self._engine.call(f"look for {wanted}", interrupt) as api:
            return inspected(api, wanted)

    def age_in_days(self, wanted: ImageRequest, interrupt: Interrupt | None = None) -> int | None:
        """Whole days since it was built, 0 if unknown; None if the engine does not have it."""
        built = self.find(wanted, interrupt)
        return None if built is None else self._days_since(built)

    def _days_since(self, built: float) -> int:
        return int((self._clock.wall() - built) // 86_400) if built > 0 else 0

    def ask_registry(self, wanted: ImageRequest) -> str:
        """Let the engine look the image up, and return who has it. Raises `BackendError` if nobody does."""
        return self._pulls.ask(wanted)


def inspected(api: EngineApi, wanted: ImageRequest) -> Inspection | None:
    """See `Images.inspect`."""
    try:
        found = answers.table(api.inspect_image(wanted.image), "the image")
    except ImageNotFound:
        return None
    return found if fits(wanted.platform, found) else None


def built_at(image: Mapping[str, object]) -> float:
    """In wall-clock seconds, 0 if unknown."""
    return seconds_of(str(image.get("Created", "")))


def image_id(image: Mapping[str, object]) -> str:
    """The id of an inspected or listed image in its one spelling; empty for what is none."""
    return spelled_id(image.get("Id"))


def spelled_id(value: object) -> str:
    """An id of an image, which Podman gives without its algorithm."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        return ""
    return value if value.startswith("sha256:") else f"sha256:{value}"


def fits(platform: str, image: Mapping[str, object]) -> bool:
    """Is the inspected image for that platform ("linux/arm64", "linux/arm/v7"; "": any)?"""
    names = ("Os", "Architecture", "Variant")
    parts = zip(platform.split("/"), names, strict=False) if platform else ()
    return all(not image.get(name) or image[name] == part for part, name in parts)
