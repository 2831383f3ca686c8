"""Calls the health application without a server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from wsgiref.util import setup_testing_defaults

import pytest

from runscaler.config.model import HostSettings
from runscaler.status import Status
from runscaler.testing.clock import FakeClock
from runscaler.web.app import WebApp
from runscaler.web.live import Live
from runscaler.web.open_replies import KEEP_OPEN

if TYPE_CHECKING:
    from collections.abc import Callable

if TYPE_CHECKING:
    from runscaler.metrics.metrics import Metrics


@dataclass
class Answer:
    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)


class Stream:
    """Stands for the connection of a stream; `told` has the messages that were sent."""

    def __init__(self) -> None:
        self.begin: Callable[[Stream], None] | None = None
        self.is_open = True
        self.sent = b""

    def kept(self, begin: Callable[[Stream], None]) -> Stream:
        self.begin = begin
        return self

    def send(self, data: bytes) -> None:
        self.sent += data

    def told(self) -> list[dict[str, object]]:
        """The messages since the last call: each with its `name`, its `id` and its `data`."""
        sent, self.sent = self.sent.decode(), b""
        return [_message(block) for block in sent.split("\n\n") if block]


def _message(block: str) -> dict[str, object]:
    lines = [line.split(": ", 1) for line in block.split("\n") if not line.startswith(":")]
    found = dict(lines)
    return {"name": found.get("event", ""), "id": found.get("id", ""), "data": json.loads(found["data"])}


@dataclass
class World:
    """The state that the application reads; tests change it between requests."""

    clock: FakeClock = field(default_factory=FakeClock)
    status: Status = field(default_factory=lambda: Status(version="1.2.3", started_at=1_800_000_000.0))
    alive: bool = True
    loopback_only: bool = True
    metrics: Metrics | None = None
    limits: HostSettings = field(default_factory=HostSettings)

    def __post_init__(self) -> None:
        self.live = Live(lambda: self.status, self.clock, limits=lambda: self.limits)

    def app(self) -> WebApp:
        return WebApp(
            lambda: self.status,
            lambda: self.alive,
            self.clock,
            self.live,
            loopback_only=self.loopback_only,
            metrics=self.metrics,
        )

    def watch(self, last_id: str = "", query: str = "") -> tuple[Answer, Stream]:
        """Open a stream of events."""
        stream = Stream()
        more = {KEEP_OPEN: stream.kept, "QUERY_STRING": query, "HTTP_LAST_EVENT_ID": last_id}
        answer = self.get("/api/v1/events", more=more)
        if stream.begin is not None:
            stream.begin(stream)
        return answer, stream

    def get(
        self,
        path: str,
        method: str = "GET",
        host: str | None = "127.0.0.1:8080",
        encoding: str = "",
        more: dict[str, object] | None = None,
    ) -> Answer:
        environ: dict[str, object] = {"PATH_INFO": path, "REQUEST_METHOD": method, **(more or {})}
        environ["HTTP_ACCEPT_ENCODING"] = encoding
        setup_testing_defaults(environ)
        environ.pop("HTTP_HOST")
        if host is not None:
            environ["HTTP_HOST"] = host
        started: list[tuple[str, list[tuple[str, str]]]] = []
        body = b"".join(self.app()(environ, lambda status, headers: started.append((status, headers))))
        line, headers = started[0]
        return Answer(int(line.split()[0]), dict(headers), body)


@pytest.fixture
def world() -> World:
    return World()
