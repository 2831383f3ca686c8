"""Clients of a scripted or simulated GitHub, on a clock that the test advances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runscaler.config.model import ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.github.client import connect
from runscaler.github.identity import Identity

if TYPE_CHECKING:
    from runscaler.github.base import ScaleSetService, Trouble
    from runscaler.github.pool import TransportPool
    from runscaler.testing.clock import FakeClock

IDENTITY = Identity("1.2.3", "abc1234")
TOKEN = "ghp_the-users-s3cr3t"


@dataclass
class Client:
    """A client together with its parts and what it has reported."""

    service: ScaleSetService
    clock: FakeClock
    pool: TransportPool
    settings: ScaleSetSettings
    reports: list[Trouble | None] = field(default_factory=list)


@dataclass
class Connector:
    """Makes clients that share one connection pool, like the scale sets of one process."""

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
            identity=IDENTITY,
        )
        return Client(service, self.clock, self.pool, settings, reports)
