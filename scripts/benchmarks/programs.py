"""The daemon and the simulated GitHub as child processes, which do not share our interpreter lock."""

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

READY_SECONDS = STOP_SECONDS = 60.0
POLL_SECONDS = 0.05


class Program:
    """A context: `runner WORDS` as a child process with its output in a file, stopped at the end."""

    def __init__(self, folder: Path, *words: str, env: Mapping[str, str] | None = None) -> None:
        self._output_file = folder / f"{words[0]}.out"
        self._words = words
        self._env = {**os.environ, **(env or {})}

    def __enter__(self) -> Self:
        with self._output_file.open("wb") as out:
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
        """Send SIGKILL and wait for its end."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """Send SIGTERM without waiting."""
        with suppress(psutil.NoSuchProcess):
            self._process.terminate()

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Send SIGTERM, wait, kill it if need be; returns the exit code, also if it had ended before."""
        self.terminate()
        try:
            self._process.wait(seconds)
        except psutil.TimeoutExpired:
            self.kill()
        return int(self._process.poll())

    def cpu(self) -> float:
        """Processor seconds used so far."""
        used = self._process.cpu_times()
        return float(used.user + used.system)

    def threads_and_files(self) -> tuple[int, int]:
        """How many threads it has, and how many open files."""
        return self._process.num_threads(), self._process.num_fds()

    def memory(self) -> int:
        """Bytes that it holds in memory."""
        return int(self._process.memory_info().rss)

    def output(self) -> str:
        return self._output_file.read_text(errors="replace")

    def wait_a_moment(self, deadline: float) -> None:
        """Pause while it gets ready; `HostError` if it has ended or `deadline` has passed."""
        if self._process.poll() is not None or time.monotonic() > deadline:
            raise HostError(f"runner {self._words[0]} did not get ready:\n{self.output()[-2000:]}")
        time.sleep(POLL_SECONDS)


class Simulator(Program):
    """The simulated GitHub on a free port; ready when entered."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "simulate", "--port", "0")

    def __enter__(self) -> Self:
        super().__enter__()
        deadline = time.monotonic() + READY_SECONDS
        while "X-Sim-Control: " not in self.output() or not self.output().endswith("\n"):
            self.wait_a_moment(deadline)
        config, control = self.output().splitlines()[:2]
        self.url = config.split()[-1].rpartition("/")[0]
        self._token = control.split()[-1].rstrip(")")
        return self

    def queue(self, scale_set: str, count: int) -> None:
        self._post("jobs", {"scaleSet": scale_set, "count": count})

    def answer_after(self, seconds: float) -> None:
        """From now on delay every answer by that long."""
        self._post("faults", {"fault": "delay", "count": None, "params": {"seconds": seconds}})

    def _post(self, what: str, body: Mapping[str, object]) -> None:
        url = f"{self.url}/_sim/control/v1/{what}"
        reply = urllib3.request("POST", url, json=body, headers={"X-Sim-Control": self._token}, retries=False)
        if reply.status >= 300:
            raise HostError(f"the simulator refused {what}: {reply.status} {reply.data.decode()[:200]}")


class Daemon(Program):
    """`runner run` with that configuration; all its scale sets are ok when entered."""

    def __init__(self, folder: Path, state_dir: Path, config: Mapping[str, object]) -> None:
        self.port = free_port()
        path = folder / "runner.toml"
        own = {"health-port": self.port, "state-dir": str(state_dir), "update-check": False}
        path.write_text(tomlkit.dumps({**own, **config}))
        path.chmod(0o600)
        super().__init__(folder, "run", "--config", str(path))

    def __enter__(self) -> Self:
        super().__enter__()
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_healthy():
            self.wait_a_moment(deadline)
        return self

    def _is_healthy(self) -> bool:
        with suppress(urllib3.exceptions.HTTPError):
            reply = urllib3.request("GET", f"http://127.0.0.1:{self.port}/healthz", timeout=5, retries=False)
            return all(one["state"] == "ok" for one in reply.json()["scale_sets"])
        return False
