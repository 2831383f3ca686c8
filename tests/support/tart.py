"""The rig for the Tart backend on the fake `tart`, and functions for its tests."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runscaler.backends.base import BackendContext
from runscaler.backends.tart import Deadlines, TartBackend
from runscaler.backends.tart.backend import SLOTS_VARIABLE
from runscaler.backends.tart.children import RUNS
from runscaler.clock import SystemClock
from runscaler.config.model import ScaleSetSettings, TartSettings
from runscaler.config.secrets import Secret
from runscaler.errors import StartFailed
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId
from runscaler.testing.backend_rig import PATIENCE, Orders, RunnerScript
from runscaler.testing.fake_tart_home import FakeTart, runner_script

OWNER = OwnerId("0123456789abcdef" * 2)
IMAGE = "ghcr.io/acme/sequoia:latest"


def tart_settings(image=IMAGE, **tart):
    return ScaleSetSettings(
        url="https://github.com/my-org",
        name="macs",
        token=Secret("t"),
        backend="tart",
        runner_image=image,
        max_runners=2,
        tart=TartSettings(**{"boot_timeout": 30.0, **tart}),
    )


class TartRig:
    """A fake Mac. `limit` is how many VMs its kernel runs, `max_vms` the setting of the scale sets."""

    def __init__(self, folder, *, limit=2, max_vms=2, **options) -> None:
        self.tart = FakeTart(folder / "mac", limit=limit)
        self.tart.latency(
            clone=0.0, limit=0.0, boot_socket=0.0, boot_agent=0.02, exec_connect=0.0, delete=0.0
        )
        self.state_dir = folder / "state"
        self.slots = folder / "slots"
        self.max_vms = max_vms
        self.environ = {**self.tart.environ, SLOTS_VARIABLE: str(self.slots)}
        self._options = {"leases": folder / "leases", **options}

    def open(self, owner=OWNER, **options):
        context = BackendContext(owner, self.state_dir, SystemClock())
        return TartBackend(context, environ=self.environ, **{**self._options, **options})

    def settings(self, script=None, **tart):
        """Settings with an image whose runner runs the script."""
        shell = (script or RunnerScript()).shell if not isinstance(script, str) else script
        name = hashlib.sha256(shell.encode()).hexdigest()[:8]
        image = f"ghcr.io/acme/{name}:latest"
        if not (self.tart.home / "cache" / "OCIs" / "ghcr.io" / "acme" / name).exists():
            self.tart.add_image(image, runner_script(shell))
        return tart_settings(image, **{"max_vms": self.max_vms, **tart})

    def unusable_settings(self):
        return tart_settings("no-such-vm")

    def destroy(self, resource):
        """Remove it, even while the backend is still writing to its directory."""
        self.tart.kill_vm(resource.id)
        path = self.tart.vm_path(resource.id)
        while path.exists():
            shutil.rmtree(path, ignore_errors=True)

    def intents(self):
        return sorted(path.stem for path in self.state_dir.glob("tart/*/*.json"))

    def leftovers(self):
        """Without what an interrupted clone leaves in tmp/: tart clears that with its next command."""
        tmp = f"{self.tart.home}/tmp/"
        return [*(one for one in self.tart.leftovers() if not one.startswith(tmp)), *self.intents()]

    def wrap(self, shell):
        """Run this script before each call of the fake `tart`, which it may call itself as "$REAL"."""
        folder = self.tart.folder / "wrapped"
        folder.mkdir()
        real = shlex.quote(str(self.tart.bin / "tart"))
        script = folder / "tart"
        script.write_text(f'#!/bin/sh\nREAL={real}\n{shell}\nexec "$REAL" "$@"\n')
        script.chmod(0o755)
        self.environ["PATH"] = f"{folder}{os.pathsep}{self.environ['PATH']}"

    def called(self, command):
        """The calls of that command; waits for the first one."""
        wait_until(lambda: self.tart.calls(command))
        return self.tart.calls(command)

    def close(self):
        self.tart.kill_everything()
        RUNS.reap()


@contextmanager
def short_folder():
    """A context with a folder that has a short path, because the path of a Unix socket must be short."""
    folder = Path(tempfile.mkdtemp(prefix="tt", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(true):
    clock, interrupt = SystemClock(), Interrupt()
    limit = clock.monotonic() + PATIENCE
    while not true():
        assert clock.monotonic() < limit, "it never became true"
        clock.pause(0.01, interrupt)


def order_of(rig, script=None, *, settings=None, place=None, slot=0, before_jit=None, **tart):
    """An order for a runner; `tart` holds keys of [tart]."""
    order = Orders(rig).make(RunnerScript(), slot=slot, before_jit=before_jit)
    settings = settings or rig.settings(script, **tart)
    return replace(order, settings=settings, **({"place": place} if place else {}))


def fails(rig, backend, error=StartFailed, match=None, **tart):
    """The error that a start raises; checks that nothing is left of the start."""
    with pytest.raises(error, match=match) as caught:
        backend.start(order_of(rig, **tart), Interrupt())
    assert rig.leftovers() == []
    assert backend.inventory() == []
    return caught.value


class Reports:
    """Everything that a backend's watch reports, in order."""

    def __init__(self, backend) -> None:
        self.seen = []
        self._watch = backend.watch(0.0, self.seen.append)

    def nth(self, number):
        wait_until(lambda: len(self.seen) > number)
        return self.seen[number]

    def stop(self):
        self._watch.stop()


QUICK = Deadlines(
    answer=2.0,
    clone=1.0,
    silence=1.0,
    set=1.0,
    inject=2.0,
    look=2.0,
    exec_probe=1.0,
    exec_probe_pause=0.05,
    socket_doubt=0.3,
    quit=0.5,
    delete=1.0,
    delete_again=0.02,
    deletions=1.5,
    still_running=0.5,
    guest_again=0.1,
    pulse=0.1,
    tool=0.1,
    poll=0.1,
)
"""For tests of hanging calls: long enough for a busy host to finish calls that do not hang."""
