"""`runscaler run` as a real process: its configuration, health, log and leftovers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import psutil
import tomlkit
from docker.errors import APIError
from support.engine import connect
from support.missing import missing
from support.planted import files_of_state, secrets_in, shown_by

from runscaler.backends.process.process_table import mark_of
from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt
from runscaler.ops.demo import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from docker import APIClient

RUNNER = (sys.executable, "-m", "runscaler")
PATIENCE = 60.0
POLL_SECONDS = 0.05
"""For what can only be polled."""
PAGES = ("/metrics", "/api/v1/status")
"""Looked at for secrets before each stop."""
CLOCK = SystemClock()
Json = dict[str, Any]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def wait_until(holds: Callable[[], Any], what: str | Callable[[], str], seconds: float = PATIENCE) -> Any:
    """Wait for a true value of `holds` and return it. `what` describes it in the failure; a function is only
    called then, and can tell what holds instead."""
    deadline = CLOCK.monotonic() + seconds
    while not (found := holds()):
        if CLOCK.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        CLOCK.pause(POLL_SECONDS, Interrupt())
    return found


class Latch:
    """Jobs wait for it until the test releases it. Containers need its folder as a volume."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="latch-", dir="/tmp"))
        self.folder.chmod(0o755)

    @property
    def step(self) -> str:
        """A job's step that ends when the latch is released."""
        return f"until test -e {self.folder}/released; do sleep 0.05; done"

    @property
    def volume(self) -> str:
        return f"{self.folder}:{self.folder}:ro"

    def release(self) -> None:
        (self.folder / "released").touch()

    def close(self) -> None:
        shutil.rmtree(self.folder)


class Daemon:
    """One configuration, which may be started again and again, one process at a time.

    `config` holds the keys of the file; port and state directory are added. `engine_url` is the engine of its
    containers, if it has any.
    """

    def __init__(self, folder: Path, config: Mapping[str, object], engine_url: str = "") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.state_dir = folder / "state"
        self.path = folder / "config.toml"
        self.engine_url = engine_url
        self.port = free_port()
        self.runner: tuple[str, ...] = RUNNER
        """The program, without its arguments."""
        self.before: tuple[str, ...] = ()
        """A command that runs the daemon, such as `setpriv` with its options."""
        self.env: dict[str, str] = {}
        """Environment variables in addition to those of this process."""
        self.secrets: set[str] = set()
        """What it must never show; those of its configuration and environment are added."""
        self._shown: dict[str, bytes] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._runs = 0
        self.configure(config)

    def configure(self, config: Mapping[str, object]) -> None:
        own = {"health-port": self.port, "state-dir": str(self.state_dir), "update-check": False}
        self.secrets |= secrets_in(config, {})
        self.path.write_text(tomlkit.dumps({**own, **config}))
        self.path.chmod(0o600)

    # -- start and stop -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process; does not wait until it is ready."""
        assert self._process is None or self._process.poll() is not None, "it is already running"
        self._runs += 1
        self.secrets |= secrets_in({}, self.env)
        with self._file("out").open("wb") as out, self._file("err").open("wb") as err:
            command = [*self.before, *self.runner, "run", "--config", str(self.path)]
            self._process = subprocess.Popen(
                command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env={**os.environ, **self.env}
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "never started"
        return self._process

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end and return the exit code."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end:\n{self.told()}") from None

    def stop(self) -> int:
        for path in PAGES:
            with suppress(OSError, HTTPException):
                self._ask(path)
        self.signal()
        return self.ended()

    # -- health and log -----------------------------------------------------------------------------

    def health(self) -> Json | None:
        """The answer of `/healthz`; None while nobody answers."""
        try:
            body: Json = json.loads(self._ask("/healthz"))
        except OSError:
            return None
        return body

    def _ask(self, path: str) -> bytes:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as reply:
            self._shown[path] = reply.read()
        return self._shown[path]

    def wait_for(self, holds: Callable[[Json], bool], seconds: float = PATIENCE) -> Json:
        """Wait for a health answer for which `holds` and return it."""
        deadline = CLOCK.monotonic() + seconds
        while True:
            health = self.health()
            if health is not None and holds(health):
                return health
            assert self.process.poll() is None, f"it ended with {self.process.poll()}:\n{self.told()}"
            assert CLOCK.monotonic() < deadline, f"not within {seconds:g} s: {health}\n{self.told()}"
            CLOCK.pause(POLL_SECONDS, Interrupt())

    def wait_for_log(self, words: str, seconds: float = PATIENCE) -> None:
        wait_until(lambda: words in self.log, f"{words!r} in\n{self.told()}", seconds)

    @property
    def log(self) -> str:
        """Standard output of the latest process."""
        return self._file("out").read_text()

    @property
    def errors(self) -> str:
        return self._file("err").read_text()

    def told(self) -> str:
        return f"{self.log}\n{self.errors}"

    def command(self, *words: str) -> Result:
        """Run another command on the same configuration to its end."""
        told = run(*words, "--config", str(self.path), before=self.before, env=self.env)
        self._shown[f"runner {' '.join(words)}"] = f"{told.out}{told.err}".encode()
        return told

    def _file(self, kind: str) -> Path:
        return self.folder / f"run-{self._runs}.{kind}"

    def shown_secrets(self) -> list[str]:
        """Secrets that stand in what it has shown: logs, answers, output of commands, files of its state."""
        logs = {path.name: path.read_bytes() for path in self.folder.glob("run-*")}
        arguments: dict[str, bytes] = {}
        if self._process is not None and self._process.poll() is None:
            with suppress(OSError):
                arguments["its arguments"] = Path(f"/proc/{self._process.pid}/cmdline").read_bytes()
        return shown_by(self.secrets, {**logs, **self._shown, **arguments, **files_of_state(self.state_dir)})

    # -- leftovers ----------------------------------------------------------------------------------

    def resources(self) -> list[str]:
        """Names of the runners that exist, by the host's processes and the engine's containers."""
        return sorted({*(name for _, name in self._processes()), *self._containers("runner")})

    def kill_runner(self, name: str) -> None:
        """End a runner by SIGKILL, whatever it lives in."""
        for process, runner in self._processes():
            if runner == name:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        if self.engine_url:
            with connect(self.engine_url) as api:
                for each in self._listed(api):
                    if each["Labels"]["io.runscaler.runner"] == name:
                        api.kill(each["Id"])

    def leftovers(self) -> list[str]:
        """Descriptions of everything of it that is still on this machine."""
        folders = [str(home) for home in self.state_dir.glob("process/*/*")]
        ours = self._process is not None and self._process.poll() is None
        return [*folders, *self.resources(), *(["the daemon itself"] if ours else [])]

    def close(self) -> None:
        """Remove everything that is left by force. Fails if it has shown a secret."""
        shown = self.shown_secrets()
        self._end_all()
        assert not shown, shown

    def _end_all(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        for process, _ in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._remove_containers()

    def _processes(self) -> Iterator[tuple[psutil.Process, str]]:
        owner_file = self.state_dir / "owner"
        owner = owner_file.read_text().strip() if owner_file.exists() else ""
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                whose, _, name = mark_of(process).partition("/")
                if owner and whose == owner and process.status() != psutil.STATUS_ZOMBIE:
                    yield process, name

    def container_labels(self) -> list[dict[str, str]]:
        """All labels of each of its containers."""
        if not self.engine_url:
            return []
        with connect(self.engine_url) as api:
            return [each["Labels"] for each in self._listed(api)]

    def _containers(self, label: str) -> list[str]:
        return [labels[f"io.runscaler.{label}"] for labels in self.container_labels()]

    def _remove_containers(self) -> None:
        if not self.engine_url:
            return
        with connect(self.engine_url) as api:
            for each in self._listed(api):
                with suppress(APIError):
                    api.remove_container(each["Id"], force=True)

    def _listed(self, api: APIClient) -> list[Json]:
        label = f"io.runscaler.state-dir={self.state_dir}"
        found: list[Json] = api.containers(all=True, filters={"label": label})
        return found


def without_root_privileges() -> tuple[str, ...]:
    """A command that runs another one as a root that obeys file modes; skips the test if impossible."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        missing("root and setpriv, to be denied access to a file")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def run(*words: str, before: tuple[str, ...] = (), env: Mapping[str, str] | None = None) -> Result:
    """Run any command as a real process to its end."""
    done = subprocess.run(
        [*before, *RUNNER, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )
    return Result(done.returncode, done.stdout, done.stderr)


def of(health: Json, name: str) -> Json:
    """The scale set of that name in a health answer."""
    found: Json = next(one for one in health["scale_sets"] if one["name"] == name)
    return found


def all_ok(health: Json) -> bool:
    """Whether every scale set of a health answer is ok."""
    return all(one["state"] == "ok" for one in health["scale_sets"])
