"""A Docker engine that belongs to one run or test, which may restart it. Needs root and `dockerd`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
from benchmarks.bare_engine import BareEngine
from urllib3.exceptions import HTTPError

from runscaler.errors import BackendDown, BackendError
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from types import TracebackType

    from runscaler.clock import Clock

TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.1
BRIDGE = Path(__file__).parents[1] / "bridge"
HANDS_OFF = ("--iptables=false", "--ip-forward=false", "--ip-masq=false")
"""Leave the host's network as it is: an engine that writes firewall rules deletes those of others."""


def can_run_engine() -> bool:
    return os.geteuid() == 0 and shutil.which("dockerd") is not None


class PrivateEngine:
    """A context that starts the engine, and removes it with all its data and containers."""

    def __init__(self, clock: Clock) -> None:
        if not can_run_engine():
            raise BackendDown("a private Docker engine needs root and dockerd")
        self._clock = clock
        # In /tmp because the path of a Unix socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="rs-own-", dir="/tmp"))
        self.process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self.folder}/docker.sock"
        self._bridge = ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BackendError:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, *more: str) -> None:
        """Start dockerd with the options `more` and wait until it answers; `BackendDown` if it does not."""
        self._bridge = self._bridge or subprocess.check_output([BRIDGE], text=True).strip()
        self._share_data()
        folders = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        paths = [f"--{option}={self.folder / name}" for option, name in folders.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--host", self.url, *paths, "--bridge", self._bridge, *HANDS_OFF, *more],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_for_answer(self.process)

    def end(self, *, by_force: bool) -> None:
        """Stop it, or kill it if `by_force`, and wait for its end. It may be suspended.

        A stop ends its containers too; after a kill they end when it starts again.
        """
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGKILL if by_force else signal.SIGTERM)
        try:
            self.process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        if by_force:
            self._end_containerd()

    def close(self) -> None:
        self.end(by_force=False)
        self._end_containerd()
        for shim in self._shims():
            for process in (*shim.children(recursive=True), shim):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        for mount in self._mounts():
            subprocess.run(["umount", "--lazy", mount], check=False)
        if self._bridge:
            subprocess.run(["ip", "link", "delete", self._bridge], check=False)
        shutil.rmtree(self.folder)

    def _share_data(self) -> None:
        """Let the mount of its data be shared, as on a host with systemd.

        Else each dockerd mounts its data over themselves, and hides what an interrupted start had left
        mounted: the engine can then never remove that container.
        """
        data = self.folder / "data"
        if str(data) not in self._mounts():
            data.mkdir(exist_ok=True)
            subprocess.run(["mount", "--bind", data, data], check=True)
        subprocess.run(["mount", "--make-shared", data], check=True)

    def _wait_for_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = self._clock.monotonic() + TIMEOUT_SECONDS
        while not self._answers():
            if process.poll() is not None or self._clock.monotonic() > deadline:
                raise BackendDown(f"dockerd did not come up:\n{(self.folder / 'log').read_text()[-2000:]}")
            self._clock.pause(POLL_SECONDS, Interrupt())

    def _answers(self) -> bool:
        engine = BareEngine(self.url, 1)
        with suppress(BackendError, HTTPError, OSError):
            engine.ask("GET", "/_ping")
            return True
        return False

    def _end_containerd(self) -> None:
        """Because the next dockerd would use a containerd that is dying or a zombie as if it were alive."""
        file = self.folder / "exec/containerd/containerd.pid"
        if not file.exists():
            return
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            containerd = psutil.Process(int(file.read_text()))
            containerd.kill()
            containerd.wait(1.0)
        file.unlink()

    def _shims(self) -> list[psutil.Process]:
        """The parents of the containers' processes, which survive the engine."""
        address = f"{self.folder}/exec/containerd/containerd.sock"
        return [
            found for found in psutil.process_iter(["cmdline"]) if address in (found.info["cmdline"] or ())
        ]

    def _mounts(self) -> list[str]:
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return sorted((mount for mount in mounts if mount.startswith(f"{self.folder}/")), reverse=True)
