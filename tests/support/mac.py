"""A fake Mac for the whole program: what `runscaler run` needs to use it, and a check for leftovers."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
from support.daemon import wait_until
from support.kill_loop import files_left

from runscaler.backends.tart.backend import SLOTS_VARIABLE
from runscaler.testing.fake_tart_host import IMAGE, PROGRAM, FakeTart

if TYPE_CHECKING:
    from types import TracebackType

    from support.daemon import Daemon

    from runscaler.testing.fake_tart_host import Call
    from runscaler.testing.simulator import SimulatedGitHub

QUICK = {
    "clone": 0.0,
    "limit": 0.0,
    "boot_socket": 0.0,
    "boot_agent": 0.02,
    "exec_connect": 0.0,
    "delete": 0.0,
}
RECORD = "runscaler.json"

_RUN_SH = """#!/bin/sh
printf '%s %s\\n' "$HOME" "$ACTIONS_RUNNER_INPUT_JITCONFIG" >>"{told}"
exec {python} {agent} "$@"
"""


@dataclass(frozen=True)
class Injected:
    """A runner that started in a guest, as it reported itself."""

    vm: str
    encoded: str

    @property
    def runner(self) -> str:
        files = json.loads(base64.b64decode(self.encoded))
        return str(json.loads(base64.b64decode(files[".runner"]))["AgentName"])


class Mac:
    """`limit` is how many macOS VMs the kernel runs. The folder has a short path, as it holds sockets.

    Runners are the simulator's agents; each writes its JIT configuration to a file that nothing else knows.
    """

    def __init__(self, github: SimulatedGitHub, *, limit: int = 2, seed: int = 1) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mac-", dir="/tmp"))
        self.tart = FakeTart(self.folder, limit=limit, seed=seed)
        self.slots = self.folder / "slots"
        self._told = Path(tempfile.mkdtemp(prefix="told-", dir="/tmp")) / "runners"
        self._agent = github.agent_path
        self.tart.latency(**QUICK)
        self.add_image()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tart.kill_everything()
        shutil.rmtree(self.folder)
        shutil.rmtree(self._told.parent)

    def add_image(self, reference: str = IMAGE, home: Path | None = None) -> str:
        """Add an image with the agent; each name is another kind of VM."""
        python = shutil.which("python3") or "python3"
        script = _RUN_SH.format(told=self._told, python=python, agent=self._agent)
        files = {"actions-runner/run.sh": script, "name": reference}
        self.tart.add_image(reference, files, home=home)
        return reference

    @property
    def environ(self) -> dict[str, str]:
        """What the daemon needs in addition to the environment of this process."""
        names = ("PATH", "TART_HOME")
        return {**{name: self.tart.environ[name] for name in names}, SLOTS_VARIABLE: str(self.slots)}

    def keys(self, image: str = IMAGE, **tart: object) -> dict[str, Any]:
        """Keys of a scale set on this Mac; underscores stand for hyphens."""
        table = {key.replace("_", "-"): value for key, value in tart.items()}
        return {"backend": "tart", "runner-image": image, "tart": table}

    # -- state ----------------------------------------------------------------------------------------

    def injected(self) -> list[Injected]:
        """All runners that have started, in that order."""
        lines = self._told.read_text().splitlines() if self._told.exists() else []
        words = [line.split() for line in lines]
        return [Injected(Path(home).parent.name, encoded) for home, encoded in words]

    def record(self, vm: str, home: Path | None = None) -> dict[str, Any]:
        """The record in a VM's directory; empty if there is none."""
        with suppress(OSError):
            found: dict[str, Any] = json.loads((self.tart.vm_path(vm, home) / RECORD).read_text())
            return found
        return {}

    def in_phase(self, phase: str) -> list[str]:
        return [vm for vm in self.tart.vms() if self.record(vm).get("phase") == phase]

    def pids(self) -> dict[str, int]:
        """The process of each VM of this TART_HOME that the host has allowed to run."""
        found = {}
        for path in (self.tart.host / "running").glob("[0-9]*"):
            with suppress(OSError, ValueError):
                vm = Path(json.loads(path.read_text())["path"])
                if vm.parent == self.tart.home / "vms" and _is_alive(int(path.name)):
                    found[vm.name] = int(path.name)
        return found

    def pending(self, command: str) -> list[Call]:
        """Calls whose process is alive and has not finished its work."""
        return [call for call in self.tart.calls(command) if call.end is None and _is_alive(call.pid)]

    def taken_slots(self) -> list[str]:
        """Names of the slot locks that somebody holds."""
        return sorted(path.name for path in self.slots.glob("*.lock") if _is_locked(path))

    # -- actions --------------------------------------------------------------------------------------

    def end_hung_calls(self) -> None:
        """End calls of a killed daemon that a rule holds up; running VMs go on."""
        running = {int(path.name) for path in (self.tart.host / "running").glob("[0-9]*")}
        for call in self.tart.journal():
            if call.end is None and call.pid not in running and _is_alive(call.pid):
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(call.pid).kill()
                wait_until(lambda pid=call.pid: not _is_alive(pid), "the end of a hung call")

    # -- the end --------------------------------------------------------------------------------------

    def assert_nothing_is_left(self, program: Daemon, github: SimulatedGitHub) -> None:
        """After a stop: no VM, clone, lock, process, file or registration is left, and no rule was broken.

        Only the logs of runners that died are kept.
        """
        state = github.state()
        left = [*self.tart.leftovers(), *self.taken_slots(), *program.leftovers()]
        left += [name for name in files_left(program.state_dir) if not name.startswith("logs/")]
        assert (left, program.errors) == ([], ""), (left, program.errors)
        assert state.runners_in("registered", "idle", "busy", "offline") == ()
        assert all(one.deleted for one in state.scale_sets)
        violations = github.final_violations()
        assert violations == (), violations


def _is_alive(pid: int) -> bool:
    """Whether it is still a process of the fake, and not another one that got the same pid."""
    with suppress(psutil.Error):
        return str(PROGRAM) in psutil.Process(pid).cmdline()  # a zombie has no command line
    return False


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
