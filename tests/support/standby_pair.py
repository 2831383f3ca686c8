"""Two daemons of one scale set as real processes, each with a state directory, so an owner, of its own."""

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
    """`first` is started first and so holds the session; `second` stands by."""

    name: str
    first: Daemon
    second: Daemon

    @classmethod
    def made(cls, name: str, folder: Path, config: Mapping[str, object], engine_url: str = "") -> DaemonPair:
        """Each has a token of its own: to GitHub one token is one client."""
        first, second = (
            Daemon(folder / f"{name}-{which}", {**config, "token": new_token()}, engine_url)
            for which in ("first", "second")
        )
        return cls(name, first, second)

    def start_second(self) -> str:
        """The reason that it shows when it stands by."""
        self.second.start()
        return self.stands_by(self.second)

    def stands_by(self, daemon: Daemon) -> str:
        """Wait for it; the reason that is shown."""
        health = daemon.wait_for(lambda health: of(health, self.name)["state"] == "standby")
        return str(of(health, self.name)["reason"])

    def wait_for_jobs(self, daemon: Daemon, count: int) -> None:
        """So many jobs began and ended on its runners, and these have gone."""

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
    return f"ghp_{secrets.token_hex(18)}"
