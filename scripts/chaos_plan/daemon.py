"""The daemon under test: one configuration, one life after another, a log for each."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import psutil
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
KEPT = ("lock", "owner", "logs", "registrations")
"""Of the state directory: what outlives the daemon."""
CRASH = re.compile(r"Traceback|\bcrashed\b")


class Daemon:
    """`state_dir`, `temporary` (its TMPDIR) and all logs lie in `folder`."""

    def __init__(self, folder: Path, config: Mapping[str, object]) -> None:
        self._folder = folder
        self._port = free_port()
        self.state_dir = folder / "state"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._config = config
        self._path = folder / "config.toml"
        self.configure()
        self._lives: list[Program] = []

    @property
    def alive(self) -> bool:
        return bool(self._lives) and self._lives[-1].alive

    @property
    def owner(self) -> OwnerId | None:
        """None before its first start has come so far."""
        return read_owner(self.state_dir)

    @property
    def has_only_begun(self) -> bool:
        """It has said that it starts, and nothing else."""
        return len(self._lives[-1].said().splitlines()) <= 1

    def configure(self, **changed: object) -> None:
        """For its next start; underscores stand for hyphens."""
        own = {"health-port": self._port, "state-dir": str(self.state_dir), "update-check": False}
        other = {key.replace("_", "-"): value for key, value in changed.items()}
        self._path.write_text(tomlkit.dumps({**own, **self._config, **other}))
        self._path.chmod(0o600)

    def start(self) -> None:
        """Returns at once."""
        home = self._folder / f"life-{len(self._lives) + 1}"
        home.mkdir()
        words = ("run", "--config", str(self._path))
        self._lives.append(Program(home, *words, env={"TMPDIR": str(self.temporary)}).__enter__())

    def kill(self) -> None:
        """By `kill -9`, if it lives."""
        if self.alive:
            self._lives[-1].kill()

    def ask_to_end(self) -> None:
        """By SIGTERM; returns at once."""
        self._lives[-1].ask_to_end()

    def stop(self) -> int:
        """By SIGTERM, to its end; the exit code, also of one that had ended before."""
        return self._lives[-1].stop()

    def health(self) -> Json | None:
        """None while nobody answers."""
        url = f"http://127.0.0.1:{self._port}/healthz"
        with suppress(urllib3.exceptions.HTTPError):
            body: Json = urllib3.request("GET", url, timeout=5, retries=False).json()
            return body
        return None

    def serves(self) -> bool:
        """All its scale sets are well."""
        health = self.health()
        return health is not None and all(one["state"] == "ok" for one in health["scale_sets"])

    def holds(self) -> tuple[int, int]:
        """How many threads and open files."""
        with suppress(psutil.NoSuchProcess):
            return self._lives[-1].holds()
        return 0, 0

    def left(self) -> list[str]:
        """Files of its state directory that an orderly end should not leave."""
        files = (path for path in self.state_dir.rglob("*") if path.is_file())
        return [str(path) for path in files if path.relative_to(self.state_dir).parts[0] not in KEPT]

    def crashes(self) -> list[str]:
        """Lines of its logs that tell of a bug."""
        return [line for log in self.logs() for line in log.splitlines() if CRASH.search(line)]

    def logs(self) -> list[str]:
        """What each life said, and the kept output of runners."""
        kept = [path for path in self.state_dir.glob("logs/**/*") if path.is_file()]
        return [life.said() for life in self._lives] + [path.read_text(errors="replace") for path in kept]
