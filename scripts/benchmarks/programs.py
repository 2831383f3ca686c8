"""The daemon and GitHub's side as processes of their own, so that neither shares our interpreter lock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import psutil
import tomlkit
import urllib3

from runscaler.errors import HostError
from runscaler.ops.demo import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

READY_SECONDS = 60.0
GLANCE = 0.05


class Program:
    """`runner WORDS` as a child process, ended on leaving; its output goes to a file."""

    def __init__(self, folder: Path, *words: str, env: Mapping[str, str] | None = None) -> None:
        self._output = folder / f"{words[0]}.out"
        self._words = words
        self._env = {**os.environ, **(env or {})}

    def __enter__(self) -> Self:
        with self._output.open("wb") as out:
            self._process = psutil.Popen(
                [sys.executable, "-m", "runscaler", *self._words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._env,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """As `kill -9`; returns when it is dead."""
        self._process.kill()
        self._process.wait()

    def ask_to_end(self) -> None:
        """By SIGTERM; returns at once."""
        with suppress(psutil.NoSuchProcess):
            self._process.terminate()

    def stop(self) -> int:
        """Ask it to end, wait, at last by force; returns its exit code, also when it had ended before."""
        self.ask_to_end()
        try:
            self._process.wait(READY_SECONDS)
        except psutil.TimeoutExpired:
            self.kill()
        return int(self._process.poll())

    def cpu(self) -> float:
        """Processor seconds so far."""
        used = self._process.cpu_times()
        return float(used.user + used.system)

    def holds(self) -> tuple[int, int]:
        """How many threads and open files."""
        return self._process.num_threads(), self._process.num_fds()

    def said(self) -> str:
        return self._output.read_text(errors="replace")

    def check(self, deadline: float) -> None:
        """Still alive, and there is time left."""
        if self._process.poll() is not None or time.monotonic() > deadline:
            raise HostError(f"runner {self._words[0]} did not get ready:\n{self.said()[-2000:]}")
        time.sleep(GLANCE)


class Simulator(Program):
    """GitHub's side, on a free port."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "simulate", "--port", "0")

    def __enter__(self) -> Self:
        super().__enter__()
        deadline = time.monotonic() + READY_SECONDS
        while "control url" not in self.said():
            self.check(deadline)
        self.url = self.said().split()[2].rpartition("/")[0]
        return self

    def queue(self, scale_set: str, count: int) -> None:
        self._tell("jobs", {"scaleSet": scale_set, "count": count})

    def answer_after(self, seconds: float) -> None:
        """Every answer from now on takes so much longer."""
        self._tell("faults", {"fault": "delay", "count": None, "params": {"seconds": seconds}})

    def _tell(self, what: str, body: Mapping[str, object]) -> None:
        url = f"{self.url}/_sim/control/v1/{what}"
        reply = urllib3.request("POST", url, json=body, headers={"X-Sim-Control": "1"}, retries=False)
        if reply.status >= 300:
            raise HostError(f"the simulator refused {what}: {reply.status} {reply.data.decode()[:200]}")


class Daemon(Program):
    """`runner run` with that configuration; on entering it serves."""

    def __init__(self, folder: Path, state_dir: Path, config: Mapping[str, object]) -> None:
        self._port = free_port()
        path = folder / "runner.toml"
        own = {"health-port": self._port, "state-dir": str(state_dir), "update-check": False}
        path.write_text(tomlkit.dumps({**own, **config}))
        path.chmod(0o600)
        super().__init__(folder, "run", "--config", str(path))

    def __enter__(self) -> Self:
        super().__enter__()
        deadline = time.monotonic() + READY_SECONDS
        while not self._serves():
            self.check(deadline)
        return self

    def _serves(self) -> bool:
        with suppress(urllib3.exceptions.HTTPError):
            reply = urllib3.request("GET", f"http://127.0.0.1:{self._port}/healthz", timeout=5, retries=False)
            return all(one["state"] == "ok" for one in reply.json()["scale_sets"])
        return False
