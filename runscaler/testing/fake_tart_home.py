"""A pretended Mac with Tart, for tests, demo and benchmarks: `fake_tart` installed, driven and watched.

with FakeTart(tmp_path) as tart:
    tart.add_image("ghcr.io/acme/sequoia:latest", runner_script("exit 0"))
    monkeypatch.setenv("PATH", tart.environ["PATH"])        # or pass `environ` to a child
    monkeypatch.setenv("TART_HOME", tart.environ["TART_HOME"])
    tart.latency(boot_agent=(0.5, 0.1))
    tart.rules(Rule("clone", do="exit", code=1, text="no luck", times=1))
    …
    tart.assert_nothing_left()
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

PROGRAM = Path(__file__).with_name("fake_tart") / "__main__.py"
IMAGE = "ghcr.io/acme/sequoia:latest"
PATIENCE = 60.0
_STEP = 0.01

DISK_FULL = "Error: You can’t save the file “disk.img” because the volume “Macintosh HD” is out of space."
NOT_FOUND = 'Error: UnexpectedHTTPStatusCode(when: "pulling manifest", code: 404, details: "")'
UNAUTHORIZED = 'Error: AuthFailed(why: "received unexpected HTTP status code 401 while retrieving a token")'
NO_NETWORK = "Error: The Internet connection appears to be offline."
AUXILIARY_LOCKED = 'Error Domain=VZErrorDomain Code=2 "Failed to lock auxiliary storage." UserInfo={}'
START_FAILED = 'Error Domain=VZErrorDomain Code=1 "The virtual machine failed to start." UserInfo={}'
VANISHED = "Error: The file “config.json” couldn’t be opened because there is no such file."
GARBAGE_NOISE = "Failed to perform garbage collection: “0B5F” couldn’t be removed."

WORKER = "#!/bin/sh\n# stands for a job: seen as Runner.Worker\nsleep ${1:-600} &\nwait $!\n"

_WRAPPER = """#!/bin/sh
: "${{FAKE_TART_HOST:={host}}}" "${{FAKE_TART_KNOBS:={knobs}}}"
export FAKE_TART_HOST FAKE_TART_KNOBS
exec {python} -IS {program} "$@"
"""

_DEMO_RUN_SH = """#!/bin/sh
# Without an address nothing reaches GitHub.
while [ -e "$FAKE_TART_OFFLINE" ]; do sleep 0.2; done
exec {python} {agent} "$@"
"""

_rule_ids = itertools.count(1)


def runner_script(shell: str) -> dict[str, str]:
    """Guest files whose `run.sh` does this; `bin/Runner.Worker SECONDS` beside it looks like a job."""
    return {"actions-runner/run.sh": f"#!/bin/sh\n{shell}\n", "actions-runner/bin/Runner.Worker": WORKER}


def demo_runner(agent: Path) -> dict[str, str]:
    """Guest files whose `run.sh` is the simulator's agent (`SimulatedGitHub.agent_path`)."""
    script = _DEMO_RUN_SH.format(python=shlex.quote(sys.executable), agent=shlex.quote(str(agent)))
    return {"actions-runner/run.sh": script}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deed:
    do: str
    """`exit` (text, code), `kill` (signal), `hang`, `delay` (seconds), `text` (noise), `ignore` (signal)."""
    name: str = "*"
    """VM, image or clone's source; `*` at the end: all that begin so."""
    when: str = "before"
    """`before`, `during`, `after`. During: clone before the VM has its name, pull half-way, set before
    it writes, delete without config.json, exec when the guest's command has started, run `after` s."""
    contains: str = ""
    """Only calls whose words, joined by spaces, contain this."""
    nth: int = 1
    times: int = 0
    """From the nth fitting call on, so many times; 0 = always."""
    chance: float = 1.0
    after: float = 0.0
    """Seconds after its moment."""
    seconds: float = 0.0
    code: int = 1
    text: str = ""
    stream: str = "stderr"
    signal: int = 0


@dataclass(frozen=True, slots=True)
class Rule(_Deed):
    """What goes wrong in a command (`--version` and the `pull` inside `clone` are commands too)."""

    command: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call of `tart`, from the journal; times are seconds of the system's monotonic clock."""

    argv: tuple[str, ...]
    pid: int
    start: float
    home: str
    environment: tuple[str, ...]
    """Names alone."""
    end: float | None = None
    code: int | None = None
    """None: it runs, or was killed."""
    stdin_length: int = 0
    stdin_sha256: str = ""

    @property
    def command(self) -> str:
        return self.argv[0] if self.argv else ""


class FakeTart:
    """A host with `tart` on its PATH. All methods may be called from any thread.

    `limit` is the host's for running macOS guests (a Mac's is 2). At the end of the context every
    process of it that still lives is killed.
    """

    def __init__(self, folder: Path, *, limit: int = 2, seed: int | None = None) -> None:
        self.folder = folder.resolve()
        self.bin = self.folder / "bin"
        self.home = self.folder / "home"
        """TART_HOME."""
        self.host = self.folder / "host"
        self.knobs_path = self.folder / "knobs.json"
        self._knobs: dict[str, Any] = {"latency": {}, "state": {"limit": limit}, "rules": []}
        if seed is not None:
            self._knobs["seed"] = seed
        self._install()

    def _install(self) -> None:
        for path in (self.bin, self.home, self.host):
            path.mkdir(parents=True, exist_ok=True)
        paths = {"host": self.host, "knobs": self.knobs_path, "program": PROGRAM, "python": sys.executable}
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

    # installing

    @property
    def environ(self) -> dict[str, str]:
        """This process's environment with `tart` first on PATH and its TART_HOME."""
        path = f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**os.environ, "PATH": path, "TART_HOME": str(self.home)}

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

        Files are named as in the admin's home and executable. A new image under an old name moves
        the tag. `login` is the user and password that pulling it takes. `config` goes into config.json.
        """
        files = dict(guest_files or runner_script("exec sleep 600"))
        settings = _configuration() | config
        digest = "sha256:" + hashlib.sha256(json.dumps([files, settings], default=str).encode()).hexdigest()
        roots = [self.host / "registry"] + ([(home or self.home) / "cache" / "OCIs"] if cached else [])
        for root in roots:
            place, tag = _place(root, reference)
            _write_vm(place / digest, files, settings)
            _link(place / tag, digest)
        if login is not None:
            (_place(roots[0], reference)[0] / digest / "login").write_text(":".join(login))
        return digest

    def remove_from_registry(self, reference: str) -> None:
        """Pulling it is a 404 from now on."""
        place, tag = _place(self.host / "registry", reference)
        (place / tag).unlink()

    # knobs

    def latency(self, **seconds: float | tuple[float, float]) -> None:
        """How long steps take: seconds, or (seconds, jitter). The steps: `LATENCY` in fake_tart/knobs.py."""
        self._knobs["latency"].update(seconds)
        self._save()

    def state(self, **facts: object) -> None:
        """How the host is: version, limit, leaked, keychain_locked, …: `STATE` in fake_tart/knobs.py."""
        self._knobs["state"].update(facts)
        self._save()

    def rules(self, *rules: Rule) -> None:
        """These failures from now on, in place of earlier ones; each counts from its first call."""
        self._knobs["rules"] = [asdict(rule) | {"id": next(_rule_ids)} for rule in rules]
        for rule in self._knobs["rules"]:
            if not rule["signal"]:
                del rule["signal"]
        self._save()

    def _save(self) -> None:
        fresh = self.knobs_path.with_suffix(f".{next(_rule_ids)}")
        fresh.write_text(json.dumps(self._knobs))
        fresh.replace(self.knobs_path)

    # driving

    def call(
        self, *words: str, stdin: bytes = b"", home: Path | None = None, check: bool = False
    ) -> subprocess.CompletedProcess[bytes]:
        """`tart WORDS`, to its end; its output is in `stdout` and `stderr`."""
        environment = self.environ | {"TART_HOME": str(home or self.home)}
        command = [str(self.bin / "tart"), *words]
        return subprocess.run(
            command, input=stdin, env=environment, capture_output=True, check=check, timeout=PATIENCE
        )

    def spawn(self, *words: str, home: Path | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """`tart WORDS` in a session of its own, stdin from nowhere, output to `options` or nowhere."""
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        environment = self.environ | {"TART_HOME": str(home or self.home)}
        return subprocess.Popen(
            [str(self.bin / "tart"), *words],
            env=environment,
            **{"start_new_session": True, **quiet, **options},
        )

    @contextmanager
    def start_foreign_vm(
        self, name: str = "foreign", *, home: Path | None = None, os_name: str = "darwin", mac: str = ""
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A VM that is not ours, in another TART_HOME unless `home` says; running until the block ends."""
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

    def order(self, name: str, text: str, home: Path | None = None) -> None:
        """Tell a guest whose agent answers: `crash CODE`, `agent SECONDS`, `freeze SECONDS`."""
        with _connected(self.vm_path(name, home)) as connection:
            connection.sendall(b"o" + struct.pack("!I", len(text)) + text.encode())
            while connection.recv(4096):
                pass

    def crash_guest(self, name: str) -> None:
        """Its `run` ends with 1 by itself."""
        self.order(name, "crash 1")

    def restart_agent(self, name: str, seconds: float = 0.0) -> None:
        """Running execs are cut, their commands killed, none is served for so long."""
        self.order(name, f"agent {seconds}")

    def freeze_guest(self, name: str, seconds: float = 3600.0) -> None:
        """Everything in it stands still; connections are taken and never served."""
        self.order(name, f"freeze {seconds}")

    def kill_vm(self, name: str, home: Path | None = None) -> None:
        """SIGKILL to its `tart run`, and wait until it and its guest are gone."""
        for process in self.runs(name, home):
            process.kill()
        _wait_for(lambda: not self.guest_processes(name, home) and not self.runs(name, home))

    def reboot(self) -> None:
        """All VMs of the host stop; leaked counts and leases are forgotten."""
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

    def vms(self) -> list[str]:
        """Whatever is in vms/, VM or not."""
        return sorted(path.name for path in (self.home / "vms").glob("*"))

    def running_vms(self, home: Path | None = None) -> list[str]:
        """By the processes of `tart run`, not by locks."""
        return sorted(name for _, name in self._runs(home))

    def runs(self, name: str, home: Path | None = None) -> list[psutil.Process]:
        """The `tart run` of that VM, if there is one."""
        return [process for process, its_name in self._runs(home) if its_name == name]

    def guest_processes(self, name: str, home: Path | None = None) -> list[psutil.Process]:
        """What runs in a VM's guest, by the HOME in its environment."""
        wanted = str(self.vm_path(name, home) / "guest")
        return [process for process, environment in self._guests() if environment.get("HOME") == wanted]

    def journal(self) -> list[Call]:
        """All calls, by their beginning."""
        facts: dict[str, dict[str, Any]] = {}
        path = self.host / "calls.jsonl"
        for line in path.read_text().splitlines() if path.exists() else []:
            entry = json.loads(line)
            facts.setdefault(entry.pop("call"), {}).update(entry)
        return [_call(entry) for entry in facts.values()]

    def calls(self, command: str) -> list[Call]:
        return [call for call in self.journal() if call.command == command]

    def journal_text(self) -> str:
        """As written: what must not hold a secret."""
        return (self.host / "calls.jsonl").read_text()

    def agent_log(self, name: str) -> str:
        """What the guest agent noted: the arguments of each exec."""
        path = self.guest_home(name) / "tmp" / "tart-guest-agent.log"
        return path.read_text() if path.exists() else ""

    def wait_until_ready(self, name: str, home: Path | None = None) -> None:
        """Until the guest agent answers."""

        def answers() -> bool:
            with suppress(OSError), _connected(self.vm_path(name, home)) as connection:
                return len(connection.recv(9)) == 9
            return False

        _wait_for(answers)

    def leftovers(self) -> list[str]:
        """Processes, VMs, entries of tmp/ of this host."""
        processes = [f"process {process.pid}: {' '.join(words)}" for process, words, _ in self._programs()]
        guests = [f"guest process {process.pid}" for process, _ in self._guests()]
        files = [str(path) for part in ("vms", "tmp") for path in (self.home / part).glob("*")]
        return processes + guests + files

    def assert_nothing_left(self) -> None:
        """No VM, no process, nothing in the making."""
        assert self.leftovers() == []

    def kill_everything(self) -> None:
        """SIGKILL to every process of this host, until none lives."""

        def gone() -> bool:
            living = [one for one, *_ in self._programs()] + [one for one, _ in self._guests()]
            for process in living:
                with suppress(psutil.Error):
                    process.kill()
            return not living

        _wait_for(gone)

    def _programs(self) -> list[tuple[psutil.Process, list[str], str]]:
        """Living processes of the program, a run's helpers among them: (process, words, TART_HOME)."""
        program, host, found = str(PROGRAM), str(self.host), []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                words = process.cmdline()
                if program in words[:3] and process.status() != psutil.STATUS_ZOMBIE:
                    environment = process.environ()
                    if environment.get("FAKE_TART_HOST") == host:
                        home = environment.get("TART_HOME", "")
                        found.append((process, words[words.index(program) + 1 :], home))
        return found

    def _runs(self, home: Path | None) -> list[tuple[psutil.Process, str]]:
        """Living `tart run` of a TART_HOME with the VM's name. Helpers are not in the journal."""
        where, callers = str(home or self.home), {call.pid for call in self.calls("run")}
        return [
            (process, next(word for word in words[1:] if not word.startswith("-")))
            for process, words, its_home in self._programs()
            if words[:1] == ["run"] and its_home == where and process.pid in callers
        ]

    def _guests(self) -> list[tuple[psutil.Process, dict[str, str]]]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                environment = process.environ()
                ours = environment.get("FAKE_TART_HOST") == str(self.host)
                if ours and "FAKE_TART_GUEST" in environment and process.status() != psutil.STATUS_ZOMBIE:
                    found.append((process, environment))
        return found


def _wait_for(condition: Callable[[], bool]) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENCE
    while not condition():
        assert clock.monotonic() < deadline, "the fake did not get there"
        clock.pause(_STEP, Interrupt())


@contextmanager
def _connected(vm: Path) -> Iterator[socket.socket]:
    """To its control.sock, by a short path."""
    with tempfile.TemporaryDirectory(prefix="ft", dir="/tmp") as folder:
        link = Path(folder) / "vm"
        link.symlink_to(vm)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(link / "control.sock"))
            yield connection


def _place(root: Path, reference: str) -> tuple[Path, str]:
    name, _, digest = reference.partition("@")
    head, _, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    host, _, namespace = f"{head}/{last}".partition("/")
    return root / host.replace(":", "%3A") / namespace, digest or tag or "latest"


def _configuration() -> dict[str, object]:
    return {
        "version": 1,
        "os": "darwin",
        "arch": "arm64",
        "ecid": "ZmFrZQ==",
        "hardwareModel": "ZmFrZQ==",
        "cpuCountMin": 2,
        "cpuCount": 4,
        "memorySizeMin": 4 << 30,
        "memorySize": 8 << 30,
        "macAddress": "7e:00:00:00:00:01",
        "display": {"width": 1024, "height": 768},
        "displayRefit": True,
        "diskFormat": "raw",
    }


def _write_vm(path: Path, files: Mapping[str, str], config: Mapping[str, object]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "disk.img").write_bytes(bytes(4096))
    (path / "nvram.bin").write_bytes(bytes(64))
    shutil.rmtree(path / "guest", ignore_errors=True)
    (path / "guest").mkdir()
    for name, text in files.items():
        file = path / "guest" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _call(entry: dict[str, Any]) -> Call:
    return Call(
        argv=tuple(entry["argv"]),
        pid=entry["pid"],
        start=entry["start"],
        home=entry["home"],
        environment=tuple(entry["env"]),
        end=entry.get("end"),
        code=entry.get("code"),
        stdin_length=entry.get("stdin_length", 0),
        stdin_sha256=entry.get("stdin_sha256", ""),
    )
