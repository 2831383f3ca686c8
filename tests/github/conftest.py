from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from support.wire_server import WireServer

from runscaler.config.model import ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.github.client import connect
from runscaler.github.identity import Identity
from runscaler.github.pool import TransportPool
from runscaler.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.github.base import ScaleSetService, Trouble

TOKEN = "ghp_the-users-token"


@dataclass
class Client:
    """A service with everything that it was made from, and what it reported."""

    service: ScaleSetService
    clock: FakeClock
    pool: TransportPool
    settings: ScaleSetSettings
    reports: list[Trouble | None] = field(default_factory=list)


@dataclass
class Connector:
    """Makes clients that share one pool, as the sets of one process do."""

    clock: FakeClock
    pool: TransportPool

    def __call__(self, url: str, name: str = "my-runners", **more: object) -> Client:
        settings = ScaleSetSettings(url=url, name=name, **{"token": Secret(TOKEN), **more})
        reports: list[Trouble | None] = []
        service = connect(
            settings,
            clock=self.clock,
            report=reports.append,
            pool=self.pool,
            identity=Identity("1.2.3", "abc1234"),
        )
        return Client(service, self.clock, self.pool, settings, reports)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def connector(clock: FakeClock) -> Iterator[Connector]:
    pool = TransportPool(clock, environ={})
    yield Connector(clock, pool)
    pool.close()


@pytest.fixture
def server() -> Iterator[WireServer]:
    with WireServer() as running:
        yield running


@pytest.fixture
def client(connector: Connector, server: WireServer) -> Client:
    return connector(f"{server.url}/my-org")
