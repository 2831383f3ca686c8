"""Calls the health application without a server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from wsgiref.util import setup_testing_defaults

import pytest

from runscaler.status import Status
from runscaler.testing.clock import FakeClock
from runscaler.web.app import WebApp

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


@dataclass
class World:
    """The state that the application reads; tests change it between requests."""

    clock: FakeClock = field(default_factory=FakeClock)
    status: Status = field(default_factory=lambda: Status(version="1.2.3", started_at=1_800_000_000.0))
    alive: bool = True
    loopback_only: bool = True
    metrics: Metrics | None = None

    def app(self) -> WebApp:
        return WebApp(
            lambda: self.status,
            lambda: self.alive,
            self.clock,
            loopback_only=self.loopback_only,
            metrics=self.metrics,
        )

    def get(
        self, path: str, method: str = "GET", host: str | None = "127.0.0.1:8080", encoding: str = ""
    ) -> Answer:
        environ: dict[str, object] = {"PATH_INFO": path, "REQUEST_METHOD": method}
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
