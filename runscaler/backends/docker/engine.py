"""One Docker engine: the shared API client, how many calls it gets at once, and how they end."""

from __future__ import annotations

import re
import sys
import threading
from contextlib import closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, cast

from docker import APIClient
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import InvalidConfigFile

from runscaler.backends.docker.errors import ENGINE_TROUBLE, translated
from runscaler.backends.docker.transport import EngineAdapter, EngineCall, pool_for
from runscaler.errors import BackendDown, BackendError
from runscaler.interrupt import Interrupt
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.docker.address import EngineAddress
    from runscaler.backends.docker.api import EngineApi

CALL_SECONDS = 60.0
WIDTH = 12
"""Calls that change containers, at once. Measured with 50 create + start on two cores, in seconds at
width 1, 4, 8, 12, 16, 24: host network 3.9, 1.8, 1.7, 1.7, 2.0, 1.8; bridge (16 at most) -, 5.2, 5.0, 4.8,
4.6. The engine gains nothing beyond; more only makes each start slower (0.25 s at 8, 0.7 s at 24)."""


class Engine:
    """Thread-safe. Nothing is connected until the first call, and a dead engine fails only calls."""

    def __init__(self, address: EngineAddress, width: int = WIDTH) -> None:
        self.address = address
        self._slots = InterruptibleSemaphore(width)
        self._width = width
        self._lock = threading.Lock()
        self._client: EngineApi | None = None

    @property
    def url(self) -> str:
        return self.address.url

    @contextmanager
    def call(
        self,
        doing: str,
        interrupt: Interrupt | None = None,
        *,
        seconds: float | None = CALL_SECONDS,
        grace: float = 0.0,
        gated: bool = False,
    ) -> Iterator[EngineApi]:
        """The client for the body's calls, whose failures become `BackendError`s or `Interrupted`.

        `doing` reads on from "cannot". `seconds` is the longest silence borne. `grace` is how long a
        request that is under way may still take when interrupted. `gated` calls wait for one of the
        engine's places.
        """
        interrupt = interrupt or Interrupt()
        call, handled = EngineCall(seconds, grace=grace), sys.exception()
        try:
            with (
                self._slots.held(interrupt, seconds) if gated else nullcontext(),
                call.running(interrupt),
            ):
                yield self._connected(doing)
        except ENGINE_TROUBLE as error:
            raise translated(error, doing, self.url, handled) from error

    def disconnect(self) -> None:
        """Close idle connections and ask for the API version again: the engine may be another one."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self, doing: str) -> EngineApi:
        """docker-py's `version="auto"`, but over our transport: its own cannot be cut."""
        if (client := self._client) is not None:
            return client
        first = self._new_client(MINIMUM_DOCKER_API_VERSION)
        with closing(first):
            version = _api_version(first.version(api_version=False))
        if not version:
            raise BackendDown(
                f"cannot {doing}: what answers at {self.url} is no Docker engine",
                fixes=("set [docker] socket, host or DOCKER_HOST to where the engine listens",),
            )
        with self._lock:
            if self._client is None:
                self._client = self._new_client(version)
            return self._client

    def _new_client(self, version: str) -> EngineApi:
        # The URL given to docker-py only makes it use http+docker://localhost, which we then take over.
        with _users_docker_config():
            client = APIClient("unix:///engine", version=version)
        client.mount("http+docker://", EngineAdapter(pool_for(self.address, self._width)))
        return cast("EngineApi", client)


def read_logins(api: EngineApi) -> None:
    """Before a registry is asked: logins change while we run, some registries' every twelve hours."""
    with _users_docker_config():
        api.reload_config()


@contextmanager
def _users_docker_config() -> Iterator[None]:
    """docker-py takes for granted that what it reads there has the right form."""
    try:
        yield
    except (InvalidConfigFile, ValueError, TypeError, AttributeError) as error:
        raise BackendError(
            f"the Docker configuration of this program's user cannot be used: {error}",
            fixes=(
                "mend its ~/.docker/config.json (or what DOCKER_CONFIG names)",
                "log in anew: `docker login`",
            ),
        ) from error


def _api_version(answer: object) -> str:
    """Empty where that is no engine's answer."""
    version = answer.get("ApiVersion") if isinstance(answer, dict) else None
    return version if isinstance(version, str) and re.fullmatch(r"\d+\.\d+", version) else ""
