"""One pull of one image: from the registry mirror if there is one, else from its own registry."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docker.errors import APIError
from loguru import logger

from runscaler.backends.docker import answers
from runscaler.backends.docker.errors import registry_error
from runscaler.backends.docker.registry_logins import FROM_SETTINGS, Login, find_login
from runscaler.config.registries import registry_host
from runscaler.errors import BackendDown, BackendError, ImageMissing
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from runscaler.backends.base import Progress
    from runscaler.backends.docker.api import EngineApi
    from runscaler.backends.docker.engine import Engine
    from runscaler.backends.docker.image_references import ImageReference
    from runscaler.backends.docker.image_request import ImageRequest
    from runscaler.clock import Clock

PULL_SECONDS = 30 * 60.0
PULL_SILENCE = 5 * 60.0
"""The longest silence of an engine while it verifies or unpacks a large layer."""
ASK_SECONDS, ASK_HELPER_SECONDS = 10.0, 5.0
"""Both together are less than `runner validate` has for all that it looks at."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where an image is pulled from: under which name, with the login of which host."""

    repository: str
    tag: str
    host: str

    @property
    def name(self) -> str:
        return f"{self.repository}@{self.tag}" if ":" in self.tag else f"{self.repository}:{self.tag}"


class Pulls:
    """Of one engine. Thread-safe."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def pull(self, wanted: ImageRequest, progress: Progress, interrupt: Interrupt) -> None:
        """Raises `ImageMissing` if neither the mirror nor its registry gives it, `BackendDown`."""
        reference = wanted.reference
        if (mirrored := _mirror_of(wanted, reference)) is not None:
            try:
                self._pull_from(mirrored, f"pull {wanted} from the mirror", wanted, progress, interrupt)
                self._rename(mirrored, reference, wanted, interrupt)
                return
            except BackendDown:
                raise
            except BackendError as error:
                logger.warning("{}; trying {}", error, reference.registry)
        self._pull_from(_origin_of(reference), f"pull {wanted}", wanted, progress, interrupt)

    def ask(self, wanted: ImageRequest) -> str:
        """Let the engine look the image up, and return who has it. Raises `BackendError` if none does."""
        reference = wanted.reference
        if (mirrored := _mirror_of(wanted, reference)) is not None:
            try:
                self._ask(mirrored, f"find {wanted} at the mirror", wanted)
                return f"the mirror {mirrored.host}"
            except BackendDown:
                raise
            except BackendError as error:
                logger.debug("{}", error)
        self._ask(_origin_of(reference), f"find {wanted} at its registry", wanted)
        return "its registry"

    def _ask(self, source: _Source, doing: str, wanted: ImageRequest) -> None:
        with _registry(source) as login:
            login.found = find_login(source.host, wanted.logins, doing, Interrupt(), ASK_HELPER_SECONDS)
            with self._engine.call(doing, seconds=ASK_SECONDS) as api:
                api.inspect_distribution(source.name, **_options(login.found))

    def _pull_from(
        self, source: _Source, doing: str, wanted: ImageRequest, progress: Progress, interrupt: Interrupt
    ) -> None:
        limit = self._clock.monotonic() + PULL_SECONDS
        layers: dict[str, tuple[int, int]] = {}
        with _registry(source) as login:
            login.found = find_login(source.host, wanted.logins, doing, interrupt)
            with self._engine.call(doing, interrupt, seconds=PULL_SILENCE) as api:
                for line in _lines(api, source, wanted.platform, login.found):
                    if "error" in answers.table(line, "the progress of a pull"):
                        words = " ".join(str(line["error"]).split())
                        raise BackendError(f"cannot {doing}: the engine {self._engine.url} says: {words}")
                    if self._clock.monotonic() > limit:
                        raise ImageMissing(f"the pull of {wanted} took longer than 30 minutes")
                    record_layer(layers, line)
                    done = sum(loaded for loaded, _ in layers.values())
                    progress(f"pulling {wanted.image}", done, sum(size for _, size in layers.values()))

    def _rename(
        self, mirrored: _Source, reference: ImageReference, wanted: ImageRequest, interrupt: Interrupt
    ) -> None:
        """Give what the mirror gave the name that is wanted, and take the mirror's one away."""
        with self._engine.call(f"name {wanted}, which the mirror gave", interrupt) as api:
            api.tag(mirrored.name, reference.repository, reference.tag)
            try:
                api.remove_image(mirrored.name)
            except APIError as error:
                logger.debug("the name {} stays: {}", mirrored.name, error)


@dataclass(slots=True)
class _UsedLogin:
    found: Login


@contextmanager
def _registry(source: _Source) -> Iterator[_UsedLogin]:
    """An error of the engine in the body comes from the registry; what it repeats of the login is masked."""
    login = _UsedLogin(Login())
    try:
        yield login
    except BackendDown:
        raise
    except BackendError as error:
        missing = error if isinstance(error, ImageMissing) else registry_error(error)
        fixes = missing.fixes
        if login.found.source == FROM_SETTINGS and _is_denied(str(error)):
            fixes = (f"correct user and password for {source.host} in [docker.registry-auth]", fixes[0])
        # Not `from error`: its text may hold what is masked here.
        raise ImageMissing(login.found.masked(str(error)), fixes=fixes) from None


DENIED = ("unauthorized", "authentication required", "no basic auth", "denied", "incorrect username")


def _is_denied(words: str) -> bool:
    return any(sign in words.lower() for sign in DENIED)


def _origin_of(reference: ImageReference) -> _Source:
    return _Source(reference.repository, reference.tag, reference.registry)


def _mirror_of(wanted: ImageRequest, reference: ImageReference) -> _Source | None:
    repository = reference.at_mirror(wanted.mirror)
    return _Source(repository, reference.tag, registry_host(wanted.mirror)) if repository else None


def _lines(api: EngineApi, source: _Source, platform: str, login: Login) -> Iterable[Mapping[str, object]]:
    return api.pull(
        source.repository,
        source.tag,
        stream=True,
        decode=True,
        platform=platform or None,
        **_options(login),
    )


def _options(login: Login) -> dict[str, Mapping[str, str]]:
    return {} if login.sent is None else {"auth_config": login.sent}


def record_layer(layers: dict[str, tuple[int, int]], line: Mapping[str, object]) -> None:
    """Keep the (downloaded, total) bytes of each layer. One that is finished counts in full."""
    layer, detail = str(line.get("id", "")), line.get("progressDetail")
    if line.get("status") == "Downloading" and isinstance(detail, dict):
        layers[layer] = int(detail.get("current", 0)), int(detail.get("total", 0))
    elif layer in layers:
        layers[layer] = layers[layer][1], layers[layer][1]
