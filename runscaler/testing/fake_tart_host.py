"""A pretended Mac with Tart, for tests, demo and benchmarks: the fake installed, driven and watched.

with FakeTart(tmp_path) as tart:
    tart.add_image("ghcr.io/acme/sequoia:latest", runner_script("exit 0"))
    tart.latency(boot_agent=(0.5, 0.1))
    tart.rules(Rule("clone", do="exit", code=1, text="no luck", times=1))
    start_what_uses_tart(env=tart.environ)
    …
    tart.assert_nothing_left()
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from runscaler.testing.fake_tart.knobs import LATENCY, STATE
from runscaler.testing.fake_tart_guest import agent_answers, order_guest
from runscaler.testing.fake_tart_images import IMAGE, demo_runner, image_path, runner_script, write_image
from runscaler.testing.fake_tart_journal import Call, read_journal
from runscaler.testing.fake_tart_processes import PATIENCE, Processes, Seen, wait_for
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

    `limit` is the host's for running macOS guests (a Mac's is 2); `seed` makes chance repeat itself. At
    the end of the context every process of it that still lives is killed.
    """

    def __init__(self, folder: Path, *, limit: int = 2, seed: int | None = None) -> None:
        self.folder = folder.resolve()
        self.bin = self.folder / "bin"
        self.home = self.folder / "home"
        """TART_HOME."""
        self.host = self.folder / "host"
        """What all TART_HOMEs share."""
        self._processes = Processes(self.host, PROGRAM)
        self._knobs_path = self.folder / "knobs.json"
        self._knobs: dict[str, Any] = {"latency": {}, "state": {"limit": limit}, "rules": []}
        if seed is not None:
            self._knobs["seed"] = seed
        self._install()

    def _install(self) -> None:
        for path in (self.bin, self.home, self.host):
            path.mkdir(parents=True, exist_ok=True)
        paths = {"host": self.host, "knobs": self._knobs_path, "program": PROGRAM, "python": sys.executable}
        wrapper = self.bin / "tart"
        wrapper.write_text(_WRAPPER.format_map({key: shlex.quote(str(path)) for key, path in paths.items()}))
        wrapper.chmod(0o755)
        self._save()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_everything()

    def kill_everything(self) -> None:
        """SIGKILL to every process of this host, until none lives."""
        self._processes.kill()

    @property
    def environ(self) -> dict[str, str]:
        """This process's environment with `tart` first on PATH and its TART_HOME; nothing else is needed."""
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
        """Put an image into the registry and, if `cached`, the cache; returns its digest.

        Files are named as in the admin's home, and executable; without any its runner sleeps. A new image
        under an old name moves the tag. `login`: user and password that pulling takes. `config` goes into
        config.json.
        """
        registry = self.host / "registry"
        roots = [registry, (home or self.home) / "cache" / "OCIs"] if cached else [registry]
        digest = write_image(roots, reference, guest_files or runner_script("exec sleep 600"), config)
        if login is not None:
            (image_path(registry, reference) / "login").write_text(":".join(login))
        return digest

    def remove_from_registry(self, reference: str) -> None:
        """Pulling it is a 404 from now on."""
        image_path(self.host / "registry", reference).unlink()

    # knobs

    def latency(self, **seconds: float | tuple[float, float]) -> None:
        """How long steps take: seconds, or (seconds, jitter). The steps: `LATENCY` in fake_tart/knobs.py."""
        assert seconds.keys() <= LATENCY.keys(), seconds.keys() - LATENCY.keys()
        self._knobs["latency"].update(seconds)
        self._save()

    def latencies(self) -> dict[str, float]:
        """Seconds that each step takes now, without jitter: what is not the caller's own time."""
        turned = {
            step: said[0] if isinstance(said, tuple) else said
            for step, said in self._knobs["latency"].items()
        }
        return LATENCY | turned

    def state(self, **facts: object) -> None:
        """How the host is: version, limit, leaked, …: `STATE` in fake_tart/knobs.py."""
        assert facts.keys() <= STATE.keys(), facts.keys() - STATE.keys()
        self._knobs["state"].update(facts)
        self._save()

    def rules(self, *rules: Rule) -> None:
        """These failures from now on, in place of earlier ones; each counts from its first call."""
        self._knobs["rules"] = [rule.knob(next(_numbers)) for rule in rules]
        self._save()

    def _save(self) -> None:
        fresh = self._knobs_path.with_suffix(f".{next(_numbers)}")
        fresh.write_text(json.dumps(self._knobs))
        fresh.replace(self._knobs_path)

    # driving

    def call(
        self, *words: str, stdin: bytes = b"", home: Path | None = None, check: bool = False
    ) -> subprocess.CompletedProcess[bytes]:
        """`tart WORDS` to its end, with its output."""
        environment = self.environ | {"TART_HOME": str(home or self.home)}
        command = [str(self.bin / "tart"), *words]
        return subprocess.run(
            command, input=stdin, env=environment, capture_output=True, check=check, timeout=PATIENCE
        )

    def spawn(self, *words: str, home: Path | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """`tart WORDS` in a session of its own, without input or output unless `options` (Popen's) say so."""
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        environment = self.environ | {"TART_HOME": str(home or self.home)}
        command = [str(self.bin / "tart"), *words]
        return subprocess.Popen(command, env=environment, **{"start_new_session": True, **quiet, **options})

    @contextmanager
    def start_foreign_vm(
        self, name: str = "foreign", *, home: Path | None = None, os_name: str = "darwin", mac: str = ""
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A VM that is not ours, in another TART_HOME unless `home` says; it runs until the block ends."""
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
        """Until the guest agent answers."""
        wait_for(lambda: agent_answers(self.vm_path(name, home)))

    def crash_guest(self, name: str) -> None:
        """Its `run` ends with 1 by itself. The agent must answer, as for the next two."""
        order_guest(self.vm_path(name), "crash 1")

    def restart_agent(self, name: str, seconds: float = 0.0) -> None:
        """Running execs are cut, their commands killed, none is served for so long."""
        order_guest(self.vm_path(name), f"agent {seconds}")

    def freeze_guest(self, name: str, seconds: float = 3600.0) -> None:
        """All in it stands still; connections are taken and not served."""
        order_guest(self.vm_path(name), f"freeze {seconds}")

    def kill_vm(self, name: str, home: Path | None = None) -> None:
        """SIGKILL to its `tart run`; returns when that and the guest are gone."""
        for process in self.runs(name, home):
            process.kill()
        wait_for(lambda: not self.guest_processes(name, home) and not self.runs(name, home))

    def reboot(self) -> None:
        """All VMs of the host end; leaked counts and leases are forgotten."""
        self.kill_everything()
        self.state(leaked=0)
        (self.host / "leases").unlink(missing_ok=True)
        for entry in (self.host / "running").glob("*"):
            entry.unlink()

    # looking

    def vm_path(self, name: str, home: Path | None = None) -> Path:
        return (home or self.home) / "vms" / name

    def guest_home(self, name: str) -> Path:
        """What `/Users/admin` is there."""
        return self.vm_path(name) / "guest"

    def config(self, name: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.vm_path(name) / "config.json").read_text())
        return loaded

    def agent_log(self, name: str) -> str:
        """What the guest agent noted: the arguments of each exec."""
        path = self.guest_home(name) / "tmp" / "tart-guest-agent.log"
        return path.read_text() if path.exists() else ""

    def vms(self) -> list[str]:
        """Whatever is in vms/, VM or not."""
        return sorted(path.name for path in (self.home / "vms").glob("*"))

    def running_vms(self, home: Path | None = None) -> list[str]:
        """By the processes of `tart run`, not by locks."""
        return sorted(seen.vm for seen in self._runs(home))

    def runs(self, name: str, home: Path | None = None) -> list[psutil.Process]:
        """The `tart run` of that VM, if there is one."""
        return [seen.process for seen in self._runs(home) if seen.vm == name]

    def guest_processes(self, name: str, home: Path | None = None) -> list[psutil.Process]:
        """What runs in a VM's guest."""
        wanted = str(self.vm_path(name, home) / "guest")
        return [seen.process for seen in self._processes.guests() if seen.home == wanted]

    def _runs(self, home: Path | None) -> list[Seen]:
        """The helpers of a run are not in the journal."""
        where, callers = str(home or self.home), {call.pid for call in self.calls("run")}
        runs = [seen for seen in self._processes.programs() if seen.words[0] == "run"]
        return [seen for seen in runs if seen.home == where and seen.process.pid in callers]

    def journal(self) -> list[Call]:
        """All calls of `tart`, by their beginning."""
        return read_journal(self.host / "calls.jsonl")

    def calls(self, command: str) -> list[Call]:
        return [call for call in self.journal() if call.command == command]

    def journal_text(self) -> str:
        """As written: what must not hold a secret."""
        return (self.host / "calls.jsonl").read_text()

    def leftovers(self) -> list[str]:
        """Processes of the host, VMs, entries of tmp/."""
        calls, guests = self._processes.programs(), self._processes.guests()
        programs = [f"process {seen.process.pid}: {' '.join(seen.words)}" for seen in calls]
        inner = [f"process {seen.process.pid} of a guest" for seen in guests]
        files = [str(path) for part in ("vms", "tmp") for path in (self.home / part).glob("*")]
        return programs + inner + files

    def assert_nothing_left(self) -> None:
        """No VM, no process, nothing in the making."""
        assert self.leftovers() == []
