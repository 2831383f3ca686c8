"""The daemon under test: one configuration, one life after another, a log for each."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import tomlkit
import urllib3
from benchmarks.programs import Program

from runscaler.ops.demo import free_port
from runscaler.ops.owner import read_owner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runscaler.names import OwnerId

Json: TypeAlias = dict[str, Any]  # what came over the wire
CRASH = re.compile(r"Traceback|\bcrashed\b")


class Daemon:
    """`state_dir`, `temporary` (its TMPDIR) and all logs lie in `folder`."""

    def __init__(self, folder: Path, config: Mapping[str, object]) -> None:
        self._folder = folder
        self._port = free_port()
        self.state_dir = folder / "state"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._config = folder / "config.toml"
        own = {"health-port": self._port, "state-dir": str(self.state_dir), "update-check": False}
        self._config.write_text(tomlkit.dumps({**own, **config}))
        self._config.chmod(0o600)
        self._lives: list[Program] = []
        self._codes: list[int] = []

    @property
    def alive(self) -> bool:
        return bool(self._lives) and self._lives[-1].alive

    @property
    def owner(self) -> OwnerId | None:
        """None before its first start has come so far."""
        return read_owner(self.state_dir)

    def start(self) -> None:
        """Returns at once."""
        home = self._folder / f"life-{len(self._lives) + 1}"
        home.mkdir()
        words = ("run", "--config", str(self._config))
        self._lives.append(Program(home, *words, env={"TMPDIR": str(self.temporary)}).__enter__())

    def kill(self) -> None:
        """By `kill -9`, if it lives."""
        if self.alive:
            self._lives[-1].kill()

    def stop(self) -> int:
        """By SIGTERM, to its end; the exit code."""
        return self._lives[-1].stop()

    def health(self) -> Json | None:
        """None while nobody answers."""
        url = f"http://127.0.0.1:{self._port}/healthz"
        with suppress(urllib3.exceptions.HTTPError):
            body: Json = urllib3.request("GET", url, timeout=5, retries=False).json()
            return body
        return None

    def crashes(self) -> list[str]:
        """Lines of its logs that tell of a bug."""
        return [line for log in self.logs() for line in log.splitlines() if CRASH.search(line)]

    def logs(self) -> list[str]:
        """What each life said, and the kept output of runners."""
        kept = [path for path in self.state_dir.glob("logs/**/*") if path.is_file()]
        return [life.said() for life in self._lives] + [path.read_text(errors="replace") for path in kept]
