"""The demo on Tart: finds a usable tart, prepares a VM with the demo's agent, and checks for leftovers.

GitHub's own runner program does not work with the simulated GitHub. Therefore a VM is cloned from the given
image, the demo's agent is installed in it, and the runners' VMs are cloned from this VM.
"""

from __future__ import annotations

import os
import platform
import secrets
import sys
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.tart.backend import SLOTS, SLOTS_VARIABLE
from runscaler.backends.tart.cli import Tart
from runscaler.backends.tart.guest import Guest
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.output_errors import command_error
from runscaler.backends.tart.record import RECORD_FILE, read_record
from runscaler.backends.tart.slot_locks import SlotLocks
from runscaler.backends.tart.timings import Timings
from runscaler.backends.tart.version import MINIMUM, TartVersion, dotted
from runscaler.clock import SystemClock
from runscaler.errors import BackendError
from runscaler.interrupt import Interrupt
from runscaler.ops.owner import read_owner

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

    from runscaler.backends.base import Progress

AGENT_DIR = "/Users/admin/runscaler-demo"
"""The demo's runner-dir. The runner program of the image is not touched."""
GATEWAY = "192.168.64.1"
GUESTS = ("192.168.64.0/24", "127.0.0.0/8")
"""The guests, and this host itself: the demo's daemon."""
"""The address at which VMs reach this host (docs/tart.md § 7)."""
BOOT_SECONDS = 180.0
PULL_SECONDS = 3600.0
_POLL_SECONDS = 0.25
_INSTALL = """\
python3 -c pass || { echo "the image has no python3, which the demo's runner needs" >&2; exit 1; }
mkdir -p "$1" && cd "$1" && cat >agent.py || exit 1
echo '#!/bin/sh' >run.sh && echo 'cd "${0%/*}" && exec python3 agent.py "$@"' >>run.sh || exit 1
chmod 755 run.sh || exit 1
sync
"""


def missing_tart(environ: Mapping[str, str] = os.environ) -> str:
    """Why no real tart can be used here; empty if one can."""
    if sys.platform != "darwin" or platform.machine() != "arm64":
        return "this is not a Mac with Apple silicon"
    try:
        output = _tart(environ).call("--version", seconds=Timings().query)
    except BackendError as error:
        return str(error)
    version = TartVersion.of(output.out)
    if output.code != 0 or version.numbers < MINIMUM:
        return f"tart {version.text or 'of an unknown version'} is too old: {dotted(MINIMUM)} is needed"
    return ""


@contextmanager
def demo_vm(image: str, progress: Progress, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Create a local VM from the image, with the demo's agent; yields its name and deletes it at the end.

    Raises `BackendError`.
    """
    tart, name = _tart(environ), f"runscaler-demo-{secrets.token_hex(4)}"
    try:
        progress(f"creating a VM with the demo's runner from image {image}", 0, 0)
        _call(tart, "clone", image, name, seconds=PULL_SECONDS)
        _install(tart, name)
        yield name
    finally:
        tart.call("delete", name, seconds=Timings().delete)


def tart_leftovers(state_dir: Path, environ: Mapping[str, str] = os.environ) -> list[str]:
    """VMs, intent files and VM slots of this state directory's owner, one line each."""
    owner, home = read_owner(state_dir), TartHome.default(environ)
    slots = SlotLocks(Path(environ.get(SLOTS_VARIABLE) or SLOTS)).taken()
    records = [(vm, read_record(vm.path / RECORD_FILE)) for vm in home.vms()]
    return [
        *(f"VM {vm.name} in {home}" for vm, record in records if record and record.owner == owner),
        *(f"intent file {path}" for path in sorted(state_dir.glob("tart/*/*"))),
        *(f"VM slot {number}: {holder.vm}" for number, holder in slots.items() if holder.owner == owner),
    ]


def _tart(environ: Mapping[str, str]) -> Tart:
    return Tart(TartHome.default(environ), SystemClock(), environ)


def _call(tart: Tart, *words: str, seconds: float, stdin: bytes = b"") -> None:
    output = tart.call(*words, seconds=seconds, stdin=stdin)
    if output.code != 0:
        raise command_error(
            f"create the demo's VM ({words[0]})", output, tart.home, registry=words[0] == "clone"
        )


def _install(tart: Tart, name: str) -> None:
    """Boot the VM, install the agent and stop the VM; `sync` has written everything to its disk by then."""
    agent = files("runscaler.simulator").joinpath("agent.py").read_bytes()
    with _running(tart, name):
        words = ("exec", "-i", name, "/bin/sh", "-c", _INSTALL, "runscaler", AGENT_DIR)
        _call(tart, *words, seconds=60.0, stdin=agent)
        tart.call("stop", name, seconds=60.0)


@contextmanager
def _running(tart: Tart, name: str) -> Iterator[None]:
    """Run the VM. Its guest agent answers inside the block; the VM has ended after it."""
    log = tart.home.vm(name).run_log
    with log.open("wb") as out:
        run = tart.spawn("run", name, "--no-graphics", "--no-audio", "--no-clipboard", log=out)
    try:
        _await_agent(tart, name, run)
        yield
    finally:
        run.terminate()
        run.wait()


def _await_agent(tart: Tart, name: str, run: subprocess.Popen[bytes]) -> None:
    guest, interrupt = Guest(tart, name, Timings()), Interrupt()
    deadline = tart.clock.monotonic() + BOOT_SECONDS
    while not guest.answers_exec(interrupt, Timings().exec_probe):
        output = tart.home.vm(name).run_output(400).decode(errors="replace").strip()
        if run.poll() is not None:
            raise BackendError(f"the demo's VM ended while it booted: {output}")
        if tart.clock.monotonic() >= deadline:
            raise BackendError(f"the guest agent of the demo's VM did not answer: {output}")
        tart.clock.pause(_POLL_SECONDS, interrupt)
