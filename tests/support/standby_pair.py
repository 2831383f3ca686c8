"""Two daemons of one scale set as real processes, each with its own state directory and owner id."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

from support.daemon import Daemon, of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.daemon import Json

READY = 200


@dataclass
class DaemonPair:
    """`first` is started first and therefore holds the session; `second` is its standby."""

    name: str
    first: Daemon
    second: Daemon

    @classmethod
    def make(cls, name: str, folder: Path, config: Mapping[str, object], engine_url: str = "") -> DaemonPair:
        """Each has its own token, because GitHub takes everyone with the same token for one client."""
        first, second = (
            Daemon(folder / f"{name}-{which}", {**config, "token": new_token()}, engine_url)
            for which in ("first", "second")
        )
        return cls(name, first, second)

    def start_second(self) -> str:
        """Start it, wait until it stands by, and return the reason that it shows."""
        self.second.start()
        return self.wait_for_standby(self.second)

    def wait_for_standby(self, daemon: Daemon) -> str:
        """Wait until that daemon stands by; returns the reason that it shows."""
        health = daemon.wait_for(lambda health: of(health, self.name)["state"] == "standby")
        return str(of(health, self.name)["reason"])

    def wait_for_jobs(self, daemon: Daemon, count: int) -> None:
        """Wait until that many jobs have started and ended on its runners, and these are gone."""

        def all_over(health: Json) -> bool:
            one, done = of(health, self.name), (count, count)
            metrics = one["metrics"]
            return not one["total"] and (metrics["jobs_started"], metrics["jobs_completed"]) == done

        daemon.wait_for(all_over)

    def close(self) -> None:
        self.first.close()
        self.second.close()


def readiness(daemon: Daemon) -> int:
    """The status of `/readyz`."""
    try:
        with urlopen(f"http://127.0.0.1:{daemon.port}/readyz", timeout=10) as reply:
            return int(reply.status)
    except HTTPError as error:
        return error.code


def new_token() -> str:
    return f"ghp_s3cr3t{secrets.token_hex(15)}"
