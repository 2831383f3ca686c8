"""The daemon under test: one configuration, started again and again, with a log for each of its processes."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import psutil
import tomlkit
import urllib3
from benchmarks.programs import Program

from chaos_plan.evidence import Usage
from runscaler.ops.demo import free_port
from runscaler.ops.owner import read_owner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runscaler.names import OwnerId

Json: TypeAlias = dict[str, Any]  # what came over the wire
PERMANENT = ("lock", "owner", "logs", "registrations", "journal", "docker")
"""Names in the state directory that stay when the daemon ends in order."""
STOP_SECONDS = 150.0
"""A stop takes drain-timeout, and where need be a minute for an engine that is away and 35 s for a GitHub
that hangs (docs/reliability.md, *When the engine has trouble*)."""
CRASH = re.compile(r"Traceback|\bcrashed\b")


class Daemon:
    """Keeps `state_dir`, `temporary` (its TMPDIR), configuration and logs in `folder`."""

    def __init__(self, folder: Path, config: Mapping[str, object]) -> None:
        self._folder = folder
        self._port = free_port()
        self.state_dir = folder / "state"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._config = config
        self._path = folder / "config.toml"
        self.configure()
        self._processes: list[Program] = []

    @property
    def alive(self) -> bool:
        return bool(self._processes) and self._processes[-1].alive

    @property
    def owner(self) -> OwnerId | None:
        """None until its first start has written it."""
        return read_owner(self.state_dir)

    @property
    def is_still_starting(self) -> bool:
        """Whether it has logged no more than that it starts."""
        return len(self._processes[-1].output().splitlines()) <= 1

    def configure(self, **changes: object) -> None:
        """Write the configuration for its next start; underscores stand for hyphens."""
        own = {"health-port": self._port, "state-dir": str(self.state_dir), "update-check": False}
        changed = {key.replace("_", "-"): value for key, value in changes.items()}
        self._path.write_text(tomlkit.dumps({**own, **self._config, **changed}))
        self._path.chmod(0o600)

    def start(self) -> None:
        """Start a new process; does not wait until it is ready."""
        folder = self._folder / f"process-{len(self._processes) + 1}"
        folder.mkdir()
        words = ("run", "--config", str(self._path))
        self._processes.append(Program(folder, *words, env={"TMPDIR": str(self.temporary)}).__enter__())

    def kill(self) -> None:
        """Send SIGKILL if it is alive, and wait for its end."""
        if self.alive:
            self._processes[-1].kill()

    def terminate(self) -> None:
        """Send SIGTERM without waiting."""
        self._processes[-1].terminate()

    def stop(self) -> int:
        """Send SIGTERM, wait for its end and return the exit code, also if it had ended before."""
        return self._processes[-1].stop(STOP_SECONDS)

    def health(self) -> Json | None:
        """The answer of `/healthz`; None while nobody answers."""
        url = f"http://127.0.0.1:{self._port}/healthz"
        with suppress(urllib3.exceptions.HTTPError):
            body: Json = urllib3.request("GET", url, timeout=5, retries=False).json()
            return body
        return None

    def is_healthy(self) -> bool:
        """Whether all its scale sets are ok."""
        health = self.health()
        return health is not None and all(one["state"] == "ok" for one in health["scale_sets"])

    def usage(self) -> Usage:
        with suppress(psutil.NoSuchProcess):
            return Usage(*self._processes[-1].threads_and_files())
        return Usage()

    def leftovers(self) -> list[str]:
        """Files in its state directory that it should have removed when it ended."""
        files = (path for path in self.state_dir.rglob("*") if path.is_file())
        return [str(path) for path in files if path.relative_to(self.state_dir).parts[0] not in PERMANENT]

    def crashes(self) -> list[str]:
        """Log lines that tell of a bug."""
        return [line for log in self.logs() for line in log.splitlines() if CRASH.search(line)]

    def logs(self) -> list[str]:
        """The output of each process, then the kept output of runners."""
        kept = [path for path in self.state_dir.glob("logs/**/*") if path.is_file()]
        outputs = [process.output() for process in self._processes]
        return outputs + [path.read_text(errors="replace") for path in kept]
