"""One Docker engine: the API client that all calls share, and how calls are limited, cancelled and fail."""

from __future__ import annotations

import re
import sys
import threading
from contextlib import closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, cast

from docker import APIClient
from docker.auth import AuthConfig
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import InvalidConfigFile
from loguru import logger

from runscaler.backends.docker.answers import SHAPE_ERRORS
from runscaler.backends.docker.errors import ENGINE_ERRORS, nonsense, translated
from runscaler.backends.docker.starts_under_way import StartsUnderWay
from runscaler.backends.docker.transport import EngineAdapter, EngineCall, pool_for
from runscaler.errors import BackendDown, BackendError
from runscaler.interrupt import Interrupt
from runscaler.net.semaphore import InterruptibleSemaphore
from runscaler.threads import error_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from runscaler.backends.docker.address import EngineAddress
    from runscaler.backends.docker.api import EngineApi
    from runscaler.net.admission import Turn

CALL_SECONDS = 60.0
PODMAN = "Podman Engine"
MAX_CONCURRENT_CHANGES = 12
"""How many calls may change containers, or look into one, at once. Measured with 50 create + start on two
cores, in seconds for 1, 4, 8, 12, 16, 24 at once: host network 3.9, 1.8, 1.7, 1.7, 2.0, 1.8; bridge network
(up to 16) -, 5.2, 5.0, 4.8, 4.6. More do not help the engine, and make each start slower (0.25 s for 8, 0.7 s
for 24)."""


class Engine:
    """Thread-safe. Connects with the first call, so only calls fail while the engine is down."""

    def __init__(self, address: EngineAddress, max_changes: int = MAX_CONCURRENT_CHANGES) -> None:
        self.address = address
        self._changes = InterruptibleSemaphore(max_changes, _most_later(max_changes))
        self._max_changes = max_changes
        self.starts = StartsUnderWay()
        self._lock = threading.Lock()
        self._client: EngineApi | None = None
        self.is_podman = False
        """Known from the first call on."""

    @property
    def url(self) -> str:
        """For messages."""
        return str(self.address)

    @contextmanager
    def call(
        self,
        doing: str,
        interrupt: Interrupt | None = None,
        *,
        seconds: float | None = CALL_SECONDS,
        grace: float = 0.0,
        turn: Turn | None = None,
    ) -> Iterator[EngineApi]:
        """The client for the calls of the body, whose errors become `BackendError` or `Interrupted`.

        `doing` is for messages and follows "cannot". `seconds` is the longest silence of the engine that is
        waited out. `grace` is how many seconds a request that has been sent may still take after an
        interrupt. Calls with a `turn`, which change containers or look into one, wait until there are not
        too many of them. The turn is `USUAL` for what begins a start, `FIRST` for the rest of it, and
        `LATER` for what is about a container that is there.
        """
        interrupt = interrupt or Interrupt()
        call, handled = EngineCall(seconds, grace=grace), sys.exception()
        try:
            with (
                self._place(turn, interrupt, seconds),
                call.running(interrupt),
            ):
                yield self._connected(doing)
        except ENGINE_ERRORS as error:
            raise translated(error, doing, self.url, handled) from error
        except SHAPE_ERRORS as error:
            logger.debug("an answer of {} cannot be read: {}", self.url, error_text(error))
            raise nonsense(error, doing, self.url) from error

    def _place(
        self, turn: Turn | None, interrupt: Interrupt, seconds: float | None
    ) -> AbstractContextManager[None]:
        if turn is None:
            return nullcontext()
        return self._changes.held(interrupt, seconds, turn=turn)

    def disconnect(self) -> None:
        """Close idle connections. The next call asks for the API version again: it may have changed."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self, doing: str) -> EngineApi:
        """A client of the engine's API version. docker-py's `version="auto"` would not use our transport."""
        if (client := self._client) is not None:
            return client
        first = self._new_client(MINIMUM_DOCKER_API_VERSION)
        with closing(first):
            answer = first.version(api_version=False)
            version = _api_version(answer)
        if not version:
            raise BackendDown(
                f"cannot {doing}: what answers at {self.url} is no Docker engine",
                fixes=("set [docker] socket, host or DOCKER_HOST to where the engine listens",),
            )
        with self._lock:
            self.is_podman = _is_podman(answer)
            if self._client is None:
                self._client = self._new_client(version)
            return self._client

    def _new_client(self, version: str) -> EngineApi:
        # With this URL docker-py uses http+docker://localhost, for which our adapter is mounted.
        with users_docker_config():
            client = APIClient("unix:///engine", version=version)
        client._auth_configs = _NoLogins({})  # type: ignore[attr-defined]  # where docker-py looks
        client.mount("http+docker://", EngineAdapter(pool_for(self.address, self._max_changes)))
        return cast("EngineApi", client)


def _most_later(changes: int) -> int:
    """How many of these calls may be others than starts, so that a start finds a place.

    With 200 removals on two busy cores a start took 15 s behind all of them; where it overtook them 1.5 s
    with 12 places for removals, 1.2 s with 8, 1.1 s with 4. All were gone after 19, 17 and 26 s. Beside 120
    looks for a job, as after a restart, it took 1.8 s, and 1.2 s where 8 were made at once; all had their
    answers after 2.3 and 1.4 s. A start alone took 0.3 to 0.5 s.
    """
    return max(1, changes * 2 // 3)


class _NoLogins(AuthConfig):
    """Keeps docker-py from looking for logins itself, by credential helpers that it gives no limit: a pull is
    given its login, if it has one (`registry_logins`)."""

    is_empty = False  # so that it does not read the file

    def resolve_authconfig(self, registry: str | None = None) -> None:
        """There is none."""


@contextmanager
def users_docker_config() -> Iterator[None]:
    """docker-py reads that file without checking its form."""
    try:
        yield
    except (InvalidConfigFile, ValueError, TypeError, AttributeError) as error:
        raise BackendError(
            f"the Docker configuration of this program's user cannot be used: {error}",
            fixes=(
                "correct its ~/.docker/config.json (or what DOCKER_CONFIG names)",
                "log in again: `docker login`",
            ),
        ) from error


def _is_podman(answer: Mapping[str, object]) -> bool:
    components = answer.get("Components")
    return isinstance(components, list) and any(
        isinstance(one, dict) and one.get("Name") == PODMAN for one in components
    )


def _api_version(answer: object) -> str:
    """Empty if an engine does not answer like that."""
    version = answer.get("ApiVersion") if isinstance(answer, dict) else None
    return version if isinstance(version, str) and re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}", version) else ""
