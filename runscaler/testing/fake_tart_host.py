"""A fake Mac with Tart for tests, demo and benchmarks: installs the fake `tart`, drives and inspects it.

with FakeTart(tmp_path) as tart:
    tart.add_image("ghcr.io/acme/sequoia:latest", runner_script("exit 0"))
    tart.latency(boot_agent=(0.5, 0.1))
    tart.rules(Rule("clone", do="exit", code=1, text="some error", times=1))
    start_program_that_uses_tart(env=tart.environ)
    …
    tart.assert_nothing_left()
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from runscaler.interpreter import interpreter_command
from runscaler.testing.fake_tart.knobs import LATENCY, STATE
from runscaler.testing.fake_tart_guest import agent_answers, order_guest
from runscaler.testing.fake_tart_images import IMAGE, demo_runner, image_path, runner_script, write_image
from runscaler.testing.fake_tart_journal import Call, read_journal
from runscaler.testing.fake_tart_processes import PATIENCE, HostProcess, Processes, wait_for
from runscaler.testing.fake_tart_rules import (
    AUXILIARY_LOCKED,
    CONNECTION_LOST,
    DISK_FULL,
    GARBAGE_NOISE,
    NO_NETWORK,
    NOT_FOUND,
    NOT_PERMITTED,
    START_FAILED,
    UNAUTHORIZED,
    VANISHED,
    Rule,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    import psutil

__all__ = [
    "AUXILIARY_LOCKED",
    "CONNECTION_LOST",
    "DISK_FULL",
    "GARBAGE_NOISE",
    "IMAGE",
    "NOT_FOUND",
    "NOT_PERMITTED",
    "NO_NETWORK",
    "START_FAILED",
    "UNAUTHORIZED",
    "VANISHED",
    "Call",
    "FakeTart",
    "Rule",
    "demo_runner",
    "runner_script",
]

PROGRAM = Path(__file__).with_name("fake_tart") / "__main__.py"

_WRAPPER = """#!/bin/sh
: "${{FAKE_TART_HOST:={host}}}" "${{FAKE_TART_KNOBS:={knobs}}}"
export FAKE_TART_HOST FAKE_TART_KNOBS
exec {python} -IS {program} "$@"
"""

_numbers = itertools.count(1)


class FakeTart:
    """A host with `tart` on its PATH. All methods may be called from any thread.

    `limit` is the number of macOS guests that may run at once (2 on a Mac); a `seed` makes randomness
    repeatable. At the end of the context all processes of the host are killed.
    """

    def __init__(self, folder: Path, *, limit: int = 2, seed: int | None = None) -> None:
        self.folder = folder.resolve()
        self.bin = self.folder / "bin"
        self.home = self.folder / "home"
        """TART_HOME."""
        self.host = self.folder / "host"
        """The folder for what all TART_HOMEs share."""
        self._processes = Processes(self.host, PROGRAM)
        self._knobs_path = self.folder / "knobs.json"
        self._knobs: dict[str, Any] = {"latency": {}, "state": {"limit": limit}, "rules": []}
        if seed is not None:
            self._knobs["seed"] = seed
        self._install()

    def _install(self) -> None:
        for path in (self.bin, self.home, self.host):
            path.mkdir(parents=True, exist_ok=True)
        paths = {"host": self.host, "knobs": self._knobs_path, "program": PROGRAM}
        words = {key: shlex.quote(str(path)) for key, path in paths.items()}
        wrapper = self.bin / "tart"
        wrapper.write_text(_WRAPPER.format_map(words | {"python": interpreter_command()}))
        wrapper.chmod(0o755)
        self._save()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_everything()

    def kill_everything(self) -> None:
        """SIGKILL to all processes of this host, until none is left."""
        self._processes.kill()

    @property
    def environ(self) -> dict[str, str]:
        """This process's environment with `tart` first on PATH, and TART_HOME. That is all that is needed."""
        path = f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**os.environ, "PATH": path, "TART_HOME": str(self.home)}

    # images

    def add_image(
        self,
        reference: str = IMAGE,
        guest_files: Mapping[str, str] | None = None,
        *,
        cached: bool = True,
        login: tuple[str, str] | None = None,
        home: Path | None = None,
        **config: object,
    ) -> str:
        """Put an image into the registry and, if `cached`, into the cache. Returns its digest.

        `guest_files` are executable, with paths relative to the guest's home; by default the runner sleeps.
        A new image under an existing name moves the tag. `login` is the user and password needed to pull it.
        `config` is merged into config.json.
        """
        registry = self.host / "registry"
        roots = [registry, (home or self.home) / "cache" / "OCIs"] if cached else [registry]
        digest = write_image(roots, reference, guest_files or runner_script("exec sleep 600"), config)
        if login is not None:
            (image_path(registry, reference) / "login").write_text(":".join(login))
        return digest

    def remove_from_registry(self, reference: str) -> None:
        """From now on pulling it is a 404."""
        image_path(self.host / "registry", reference).unlink()

    # knobs

    def latency(self, **seconds: float | tuple[float, float]) -> None:
        """How long steps take: seconds, or (seconds, jitter). See `LATENCY` in fake_tart/knobs.py."""
        assert seconds.keys() <= LATENCY.keys(), seconds.keys() - LATENCY.keys()
        self._knobs["latency"].update(seconds)
        self._save()

    def latencies(self) -> dict[str, float]:
        """Seconds that each step takes now, without jitter: the part of a measurement that is not ours."""
        changed = {
            step: latency[0] if isinstance(latency, tuple) else latency
            for step, latency in self._knobs["latency"].items()
        }
        return LATENCY | changed

    def state(self, **facts: object) -> None:
        """The host's state: version, limit, leaked, … See `STATE` in fake_tart/knobs.py."""
        assert facts.keys() <= STATE.keys(), facts.keys() - STATE.keys()
        self._knobs["state"].update(facts)
        self._save()

    def rules(self, *rules: Rule) -> None:
        """Replace the failures by these; each counts its calls from now on."""
        self._knobs["rules"] = [rule.knob(next(_numbers)) for rule in rules]
        self._save()

    def _save(self) -> None:
        fresh = self._knobs_path.with_suffix(f".{next(_numbers)}")
        fresh.write_text(json.dumps(self._knobs))
        fresh.replace(self._knobs_path)

    # calls, VMs and guests

    def call(
        self, *words: str, stdin: bytes = b"", home: Path | None = None, check: bool = False
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `tart WORDS` to its end."""
        environment = self.environ | {"TART_HOME": str(home or self.home)}
        command = [str(self.bin / "tart"), *words]
        return subprocess.run(
            command, input=stdin, env=environment, capture_output=True, check=check, timeout=PATIENCE
        )

    def spawn(self, *words: str, home: Path | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """Start `tart WORDS` in a session of its own, without input and output; `options` are Popen's."""
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        environment = self.environ | {"TART_HOME": str(home or self.home)}
        command = [str(self.bin / "tart"), *words]
        return subprocess.Popen(command, env=environment, **{"start_new_session": True, **quiet, **options})

    @contextmanager
    def start_foreign_vm(
        self, name: str = "foreign", *, home: Path | None = None, os_name: str = "darwin", mac: str = ""
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A VM that is not ours, by default in another TART_HOME. It runs until the block ends."""
        where = home or self.folder / "foreign-home"
        image = f"foreign.example/{os_name}/{name}:latest"
        config: dict[str, Any] = {"os": os_name, **({"macAddress": mac} if mac else {})}
        self.add_image(image, home=where, **config)
        self.call("clone", image, name, home=where, check=True)
        process = self.spawn("run", name, "--no-graphics", home=where)
        try:
            self.wait_until_ready(name, where)
            yield process
        finally:
            process.kill()
            process.wait()
            self.call("delete", name, home=where)

    def wait_until_ready(self, name: str, home: Path | None = None) -> None:
        """Returns when the guest agent answers."""
        wait_for(lambda: agent_answers(self.vm_path(name, home)))

    def crash_guest(self, name: str) -> None:
        """Its `tart run` ends with 1. The agent must answer, as for the next two methods."""
        order_guest(self.vm_path(name), "crash 1")

    def restart_agent(self, name: str, seconds: float = 0.0) -> None:
        """End all execs and their commands, and serve none for so many seconds."""
        order_guest(self.vm_path(name), f"agent {seconds}")

    def freeze_guest(self, name: str, seconds: float = 3600.0) -> None:
        """Stop all its processes; connections are accepted but not served."""
        order_guest(self.vm_path(name), f"freeze {seconds}")

    def kill_vm(self, name: str, home: Path | None = None) -> None:
        """SIGKILL its `tart run`; returns when that and the guest are gone."""
        for process in self.runs(name, home):
            process.kill()
        wait_for(lambda: not self.guest_processes(name, home) and not self.runs(name, home))

    def reboot(self) -> None:
        """End all VMs of the host; leaked counts and leases are reset."""
        self.kill_everything()
        self.state(leaked=0)
        (self.host / "leases").unlink(missing_ok=True)
        for entry in (self.host / "running").glob("*"):
            entry.unlink()

    # inspection

    def vm_path(self, name: str, home: Path | None = None) -> Path:
        return (home or self.home) / "vms" / name

    def guest_home(self, name: str) -> Path:
        """The folder that is `/Users/admin` in the guest."""
        return self.vm_path(name) / "guest"

    def config(self, name: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.vm_path(name) / "config.json").read_text())
        return loaded

    def agent_log(self, name: str) -> str:
        """The guest agent's log: the arguments of each exec."""
        path = self.guest_home(name) / "tmp" / "tart-guest-agent.log"
        return path.read_text() if path.exists() else ""

    def vms(self) -> list[str]:
        """All entries of vms/, whether VMs or not."""
        return sorted(path.name for path in (self.home / "vms").glob("*"))

    def running_vms(self, home: Path | None = None) -> list[str]:
        """Found by the processes of `tart run`, not by locks."""
        return sorted(run.vm for run in self._runs(home))

    def runs(self, name: str, home: Path | None = None) -> list[psutil.Process]:
        """The `tart run` of that VM; none or one."""
        return [run.process for run in self._runs(home) if run.vm == name]

    def guest_processes(self, name: str, home: Path | None = None) -> list[psutil.Process]:
        """All processes in a VM's guest."""
        wanted = str(self.vm_path(name, home) / "guest")
        return [guest.process for guest in self._processes.guests() if guest.home == wanted]

    def _runs(self, home: Path | None) -> list[HostProcess]:
        """Without the child processes of a run, which are not in the journal."""
        where, callers = str(home or self.home), {call.pid for call in self.calls("run")}
        runs = [program for program in self._processes.programs() if program.words[0] == "run"]
        return [run for run in runs if run.home == where and run.process.pid in callers]

    def journal(self) -> list[Call]:
        """All calls of `tart`, in the order in which they began."""
        return read_journal(self.host / "calls.jsonl")

    def calls(self, command: str) -> list[Call]:
        return [call for call in self.journal() if call.command == command]

    def journal_text(self) -> str:
        """Its raw text, which must not contain a secret."""
        return (self.host / "calls.jsonl").read_text()

    def leftovers(self) -> list[str]:
        """All processes of the host, VMs, and entries of tmp/."""
        calls, guests = self._processes.programs(), self._processes.guests()
        programs = [f"process {call.process.pid}: {' '.join(call.words)}" for call in calls]
        inner = [f"process {guest.process.pid} of a guest" for guest in guests]
        files = [str(path) for part in ("vms", "tmp") for path in (self.home / part).glob("*")]
        return programs + inner + files

    def assert_nothing_left(self) -> None:
        """No VM, no process, and no unfinished clone or pull."""
        assert self.leftovers() == []
