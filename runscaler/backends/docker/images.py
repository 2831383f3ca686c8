"""Runner images: pulled as the settings say, once for all scale sets."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from docker.errors import DockerException, ImageNotFound
from docker.utils import parse_repository_tag
from loguru import logger

from runscaler.backends.docker import answers
from runscaler.backends.docker.api import seconds_of
from runscaler.backends.docker.engine import read_logins
from runscaler.backends.docker.errors import explanation, lacks_credential_helper, registry_error
from runscaler.errors import BackendDown, BackendError, ImageMissing
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from runscaler.backends.base import Progress
    from runscaler.backends.docker.api import EngineApi, Inspection
    from runscaler.backends.docker.engine import Engine
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt

Answer = TypeVar("Answer")
PULL_SECONDS = 30 * 60.0
OLD_DAYS = 25
"""An image of this age is warned about: GitHub refuses runners a month behind (docs/protocol.md § 8.5)."""
PULL_SILENCE = 5 * 60.0
"""The longest silence of an engine while it verifies or unpacks a large layer."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Which image a scale set needs, and when to pull it. Equal (image, platform) are pulled once."""

    image: str
    platform: str = ""
    pull: Literal["always", "missing", "never"] = "always"
    pull_interval: float = 24 * 3600.0
    is_runner: bool = True
    """Does it grow too old for GitHub?"""

    @classmethod
    def of(cls, settings: ScaleSetSettings) -> ImageRequest:
        docker = settings.docker
        return cls(settings.runner_image, docker.platform, docker.pull, docker.pull_interval)

    @classmethod
    def all_of(cls, settings: ScaleSetSettings) -> tuple[ImageRequest, ...]:
        """The runner's, and that of its engine if it has one of its own."""
        docker, runner = settings.docker, cls.of(settings)
        if docker.dind != "sidecar":
            return (runner,)
        return runner, replace(runner, image=docker.sidecar_image, is_runner=False)

    @property
    def key(self) -> tuple[str, str]:
        return self.image, self.platform

    def __str__(self) -> str:
        return f"image {self.image}" + (f" for {self.platform}" if self.platform else "")


class Images:
    """The runner images of one engine. Thread-safe."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._locks: dict[tuple[str, str], InterruptibleSemaphore] = {}
        self._pulled: dict[tuple[str, str], float] = {}

    def ensure(self, wanted: ImageRequest, progress: Progress, interrupt: Interrupt) -> None:
        """Return when the image is on the engine. Raises `ImageMissing` if it cannot be had.

        Blocks until a call for the same image on another thread has ended.
        """
        with self._lock:
            pulling = self._locks.setdefault(wanted.key, InterruptibleSemaphore(1))
        with pulling.held(interrupt):
            self._ensure(wanted, progress, interrupt)

    def _ensure(self, wanted: ImageRequest, progress: Progress, interrupt: Interrupt) -> None:
        present = self.find(wanted, interrupt) is not None
        if present and (wanted.pull != "always" or self._is_fresh(wanted)):
            return
        if not present and wanted.pull == "never":
            raise ImageMissing(
                f'{wanted} is not on the engine {self._engine.url}, and pull is "never"',
                fixes=(f"pull it: `docker pull {wanted.image}`", 'set pull = "missing"'),
            )
        self._pull_if_possible(wanted, progress, interrupt, present=present)
        age = self.age_in_days(wanted, interrupt) if wanted.is_runner else None
        if age is not None and age >= OLD_DAYS:
            logger.warning("{} is {} days old: GitHub refuses runners a month behind", wanted, age)

    def _pull_if_possible(
        self, wanted: ImageRequest, progress: Progress, interrupt: Interrupt, *, present: bool
    ) -> None:
        """Pull; if that fails, an image that is on the engine already is used as it is."""
        try:
            self._pull(wanted, progress, interrupt)
        except BackendDown:
            raise
        except BackendError as error:
            if not present:
                raise
            logger.warning("{}; the image on the engine is used", error)
        self._pulled[wanted.key] = self._clock.monotonic()

    def _is_fresh(self, wanted: ImageRequest) -> bool:
        pulled = self._pulled.get(wanted.key)
        if pulled is None:
            return False
        return wanted.pull_interval <= 0 or self._clock.monotonic() - pulled < wanted.pull_interval

    def find(self, wanted: ImageRequest, interrupt: Interrupt | None = None) -> float | None:
        """When it was built, in wall-clock seconds; None if the engine does not have it for that platform."""
        found = self.inspect(wanted, interrupt)
        return seconds_of(str(found.get("Created", ""))) if found is not None else None

    def inspect(self, wanted: ImageRequest, interrupt: Interrupt | None = None) -> Inspection | None:
        """What the engine says about it; None if it does not have it for that platform."""
        with self._engine.call(f"look for {wanted}", interrupt) as api:
            try:
                found = answers.table(api.inspect_image(wanted.image), "the image")
            except ImageNotFound:
                return None
        return found if fits(wanted.platform, found) else None

    def age_in_days(self, wanted: ImageRequest, interrupt: Interrupt | None = None) -> int | None:
        """Whole days since it was built, 0 if unknown; None if the engine does not have it."""
        built = self.find(wanted, interrupt)
        if built is None:
            return None
        return int((self._clock.wall() - built) // 86_400) if built > 0 else 0

    def ask_registry(self, wanted: ImageRequest) -> None:
        """Let the engine look the image up at its registry. Raises `BackendError` if it does not get it."""
        with _registry_errors(), self._engine.call(f"find {wanted} at its registry", seconds=30.0) as api:
            read_logins(api)
            _with_logins(lambda **auth: api.inspect_distribution(wanted.image, **auth))

    def _pull(self, wanted: ImageRequest, progress: Progress, interrupt: Interrupt) -> None:
        limit = self._clock.monotonic() + PULL_SECONDS
        layers: dict[str, tuple[int, int]] = {}
        doing = f"pull {wanted}"
        with _registry_errors(), self._engine.call(doing, interrupt, seconds=PULL_SILENCE) as api:
            read_logins(api)
            for line in _pull_lines(api, wanted):
                if "error" in answers.table(line, "the progress of a pull"):
                    words = " ".join(str(line["error"]).split())
                    raise BackendError(f"cannot {doing}: the engine {self._engine.url} says: {words}")
                if self._clock.monotonic() > limit:
                    raise ImageMissing(f"the pull of {wanted} took longer than 30 minutes")
                record_layer(layers, line)
                done = sum(loaded for loaded, _ in layers.values())
                progress(f"pulling {wanted.image}", done, sum(size for _, size in layers.values()))


def _pull_lines(api: EngineApi, wanted: ImageRequest) -> Iterable[Mapping[str, object]]:
    repository, tag = parse_repository_tag(wanted.image)
    platform = wanted.platform or None
    return _with_logins(
        lambda **auth: api.pull(
            repository, tag or "latest", stream=True, decode=True, platform=platform, **auth
        )
    )


def _with_logins(call: Callable[..., Answer]) -> Answer:
    """With the user's login at the registry; without one if that is kept where it cannot be read."""
    try:
        return call()
    except DockerException as error:
        if not lacks_credential_helper(error):
            raise
        logger.warning("{}: trying without a login", explanation(error))
        return call(auth_config={})


def record_layer(layers: dict[str, tuple[int, int]], line: Mapping[str, object]) -> None:
    """Keep the (downloaded, total) bytes of each layer. One that is finished counts in full."""
    layer, detail = str(line.get("id", "")), line.get("progressDetail")
    if line.get("status") == "Downloading" and isinstance(detail, dict):
        layers[layer] = int(detail.get("current", 0)), int(detail.get("total", 0))
    elif layer in layers:
        layers[layer] = layers[layer][1], layers[layer][1]


def fits(platform: str, image: Mapping[str, object]) -> bool:
    """Is the inspected image for that platform ("linux/arm64", "linux/arm/v7"; "": any)?"""
    names = ("Os", "Architecture", "Variant")
    parts = zip(platform.split("/"), names, strict=False) if platform else ()
    return all(not image.get(name) or image[name] == part for part, name in parts)


@contextmanager
def _registry_errors() -> Iterator[None]:
    """An error of the engine in the body comes from the registry."""
    try:
        yield
    except (BackendDown, ImageMissing):
        raise
    except BackendError as error:
        raise registry_error(error) from error
