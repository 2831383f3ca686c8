"""A minimal client of a Docker engine: plain HTTP over its socket. The floors are measured with it."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from urllib3.exceptions import HTTPError

from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.transport import pool_for
from runscaler.config.model import DockerSettings
from runscaler.errors import BackendDown, BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from urllib3 import BaseHTTPResponse

REMOVE_THREADS = 8
START_TIMEOUT = 180.0
"""Seconds."""
Json = dict[str, object]


def engine_url() -> str:
    """The engine at RUNSCALER_TEST_DOCKER_HOST, else at DOCKER_HOST, else at the default socket.

    `BackendDown` if none answers there.
    """
    named = os.environ.get("RUNSCALER_TEST_DOCKER_HOST") or os.environ.get("DOCKER_HOST", "")
    url = DockerSettings(docker_host=named).endpoint
    try:
        BareEngine(url, 1).ask("GET", "/_ping")
    except (BackendError, HTTPError, OSError) as error:
        raise BackendDown(
            f"no Docker engine answers at {url}",
            fixes=("start one, or name another in RUNSCALER_TEST_DOCKER_HOST",),
        ) from error
    return url


class BareEngine:
    """Thread-safe. `width` is how many connections are kept open for requests at the same time."""

    def __init__(self, url: str, width: int) -> None:
        self._pool = pool_for(EngineAddress(url), width)

    def close(self) -> None:
        self._pool.close()

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """Send a request, with `body` as JSON, and return the answer's body; `BackendError` if refused."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        reply = self._pool.urlopen(method, path, content, headers, retries=False)
        if reply.status >= 300:
            raise BackendError(f"{method} {path}: {reply.status} {reply.data.decode()[:200]}")
        return reply.data

    def stream(self, path: str) -> BaseHTTPResponse:
        return self._pool.urlopen("GET", path, retries=False, preload_content=False)

    def create_and_start(self, name: str, body: Mapping[str, object]) -> None:
        made = json.loads(self.ask("POST", f"/containers/create?name={quote(name)}", body))
        self.ask("POST", f"/containers/{made['Id']}/start")

    def remove_labelled(self, label: str) -> None:
        """Remove every container with that label by force, and wait until they are gone."""
        listed = json.loads(self.ask("GET", f"/containers/json?all=1&filters={query_filters(label=[label])}"))
        with ThreadPoolExecutor(REMOVE_THREADS) as pool:
            list(pool.map(self._remove, [str(one["Id"]) for one in listed]))

    def _remove(self, container: str) -> None:
        with suppress(BackendError):  # somebody else has removed it
            self.ask("DELETE", f"/containers/{container}?force=1&v=1")


def create_all(
    engine: BareEngine, width: int, orders: Sequence[tuple[str, Json]], hold: Callable[[int], None]
) -> None:
    """Create and start the containers on `width` threads; `hold(number)` blocks until that one may begin."""

    def one(number: int) -> None:
        hold(number)
        engine.create_and_start(*orders[number])

    with ThreadPoolExecutor(width) as pool:
        list(pool.map(one, range(len(orders))))


class StartWatch:
    """A context that records the engine's events of containers with a label, for daemon and floor alike."""

    def __init__(self, url: str, label: str) -> None:
        self._engine = BareEngine(url, 1)
        self._label = label
        self._changed = threading.Condition()
        self._seen: dict[str, list[float]] = {"create": [], "start": []}

    def __enter__(self) -> Self:
        filters = query_filters(type=["container"], event=list(self._seen), label=[self._label])
        self._reply = self._engine.stream(f"/events?filters={filters}")
        self._thread = threading.Thread(target=self._follow, name="start-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reply.shutdown()
        self._thread.join()
        self._reply.close()
        self._engine.close()

    def wait_for(self, count: int) -> None:
        """Wait until that many containers have started; `BackendError` after `START_TIMEOUT`."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._seen["start"]) >= count, START_TIMEOUT):
                raise BackendError(f"{len(self._seen['start'])} of {count} ran after {START_TIMEOUT:.0f} s")

    def times(self, action: str) -> list[float]:
        """The sorted times, by `time.perf_counter`, at which the events `action` arrived."""
        return sorted(self._seen[action])

    def _follow(self) -> None:
        for event in event_lines(self._reply.stream(1 << 16)):
            now = time.perf_counter()
            with self._changed:
                self._seen[str(event["Action"])].append(now)
                self._changed.notify_all()


def event_lines(pieces: Iterable[bytes]) -> Iterable[dict[str, Any]]:
    """Decode a stream of events until it ends or is cut."""
    rest = b""
    with suppress(HTTPError, OSError):
        for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            yield from (json.loads(line) for line in lines if line.strip())


def query_filters(**wanted: list[str]) -> str:
    """The value of the engine's query parameter `filters`."""
    return quote(json.dumps(wanted))
