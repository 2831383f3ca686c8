from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.github_client import Client, Connector
from support.wire_server import WireServer

from runscaler.github.pool import TransportPool
from runscaler.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator


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
