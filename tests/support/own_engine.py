"""An engine of a test's own, that it may stop, kill, freeze and start again, and fill its disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
from support.missing import missing

from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.engine import Engine
from runscaler.clock import SystemClock
from runscaler.errors import BackendDown
from runscaler.interrupt import Interrupt

START_PATIENCE = 60.0
MEGABYTE = 1024 * 1024


class PrivateEngine:
    """Needs root and `dockerd`. With `disk`, its data lie on a disk of so many megabytes."""

    def __init__(self, disk: int = 0) -> None:
        if os.geteuid() != 0 or shutil.which("dockerd") is None:
            missing("a Docker engine to stop: it takes root and dockerd")
        # Short, as the path of a Unix socket must be.
        self._folder = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        self._disk = Disk(self._folder / "data", disk) if disk else None

    @property
    def url(self) -> str:
        return f"unix://{self._folder}/docker.sock"

    @property
    def disk(self) -> Disk:
        assert self._disk is not None, "it has none of its own"
        return self._disk

    def start(self, *more: str) -> None:
        """With `more` options; returns when it answers."""
        below = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        paths = [f"--{option}={self._folder / name}" for option, name in below.items()]
        network = ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["dockerd", "--host", self.url, *paths, *network, *more],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self._await_answer()

    def stop(self) -> None:
        """In order, so that it takes its containers with it; returns when it has ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """At once; its containers live on."""
        self._end(signal.SIGKILL)
        self._end_containerd()

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it with all that it started, and take its files away."""
        self._end(signal.SIGTERM)
        self._end_containerd()
        for shim in self._shims():
            for process in (*shim.children(recursive=True), shim):
                process.kill()
        for mount in self._mounts():
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self._folder)

    def _await_answer(self) -> None:
        clock = SystemClock()
        deadline = clock.monotonic() + START_PATIENCE
        while clock.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
            if self._answers():
                return
            clock.pause(0.05, Interrupt())
        raise AssertionError(f"dockerd did not come up:\n{(self._folder / 'log').read_text()[-2000:]}")

    def _answers(self) -> bool:
        engine = Engine(EngineAddress(self.url))
        try:
            with engine.call("ask") as api:
                return api.ping()
        except BackendDown:
            return False
        finally:
            engine.forget()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(START_PATIENCE)
            self._process = None

    def _end_containerd(self) -> None:
        """The next engine takes a containerd that is dying, or dead and not yet buried, for alive."""
        file = self._folder / "exec/containerd/containerd.pid"
        if not file.exists():
            return
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            containerd = psutil.Process(int(file.read_text()))
            containerd.kill()
            containerd.wait(1.0)
        file.unlink()

    def _shims(self) -> list[psutil.Process]:
        """What stands between the engine and its containers, and outlives it."""
        address = f"{self._folder}/exec/containerd/containerd.sock"
        return [
            found for found in psutil.process_iter(["cmdline"]) if address in (found.info["cmdline"] or ())
        ]

    def _mounts(self) -> list[str]:
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return sorted((mount for mount in mounts if mount.startswith(f"{self._folder}/")), reverse=True)


class Disk:
    """A small file system that a test can fill."""

    def __init__(self, path: Path, megabytes: int) -> None:
        path.mkdir()
        self._path = path
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)

    def fill(self) -> None:
        """Until not a byte more can be written."""
        with suppress(OSError), (self._path / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(MEGABYTE)):
                pass

    def free(self) -> None:
        (self._path / "filler").unlink()
