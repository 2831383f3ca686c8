"""A rig for the Tart backend on the fake `tart`, and functions for its tests."""

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
from runscaler.backends.tart import TartBackend, Timings
from runscaler.backends.tart.backend import SLOTS_VARIABLE
from runscaler.backends.tart.processes import RUN_PROCESSES
from runscaler.clock import SystemClock
from runscaler.config.model import ScaleSetSettings, TartSettings
from runscaler.config.secrets import Secret
from runscaler.errors import StartFailed
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId
from runscaler.testing.backend_rig import PATIENCE, Orders, RunnerScript
from runscaler.testing.fake_tart_host import FakeTart, runner_script

OWNER = OwnerId("0123456789abcdef" * 2)
THEIRS = OwnerId("fedcba9876543210" * 2)
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
    """A fake Mac. `limit` is the kernel's for running VMs, `max_vms` the scale sets' setting."""

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
        """With an image whose runner runs the script."""
        shell = (script or RunnerScript()).shell if not isinstance(script, str) else script
        name = hashlib.sha256(shell.encode()).hexdigest()[:8]
        image = f"ghcr.io/acme/{name}:latest"
        if not (self.tart.home / "cache" / "OCIs" / "ghcr.io" / "acme" / name).exists():
            self.tart.add_image(image, runner_script(shell))
        return tart_settings(image, **{"max_vms": self.max_vms, **tart})

    def unusable_settings(self):
        return tart_settings("no-such-vm")

    def destroy(self, resource):
        """Deletes it repeatedly, as the VM's ending may be recorded in it meanwhile."""
        self.tart.kill_vm(resource.id)
        path = self.tart.vm_path(resource.id)
        while path.exists():
            shutil.rmtree(path, ignore_errors=True)

    def intents(self):
        return sorted(path.stem for path in self.state_dir.glob("tart/*/*.json"))

    def leftovers(self):
        """Without the entries of tmp/, which tart itself deletes with its next command."""
        tmp = f"{self.tart.home}/tmp/"
        return [*(one for one in self.tart.leftovers() if not one.startswith(tmp)), *self.intents()]

    def wrap(self, shell):
        """Put this script before the fake `tart`, which it may also call as "$REAL"."""
        folder = self.tart.folder / "wrapped"
        folder.mkdir()
        real = shlex.quote(str(self.tart.bin / "tart"))
        script = folder / "tart"
        script.write_text(f'#!/bin/sh\nREAL={real}\n{shell}\nexec "$REAL" "$@"\n')
        script.chmod(0o755)
        self.environ["PATH"] = f"{folder}{os.pathsep}{self.environ['PATH']}"

    def called(self, command):
        """The calls of that command. Waits for the first."""
        wait_until(lambda: self.tart.calls(command))
        return self.tart.calls(command)

    def close(self):
        self.tart.kill_everything()
        RUN_PROCESSES.forget_ended()


@contextmanager
def short_folder():
    """For Unix sockets, whose paths must be short; pytest's folders have long ones."""
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
    """An order for a runner; `tart` are keys of [tart]."""
    order = Orders(rig).make(RunnerScript(), slot=slot, before_jit=before_jit)
    settings = settings or rig.settings(script, **tart)
    return replace(order, settings=settings, **({"place": place} if place else {}))


def fails(rig, backend, error=StartFailed, match=None, **tart):
    """Asserts that a start fails and leaves nothing; returns its error."""
    with pytest.raises(error, match=match) as caught:
        backend.start(order_of(rig, **tart), Interrupt())
    assert rig.leftovers() == []
    assert backend.inventory() == []
    return caught.value


class Reports:
    """The reports of a backend's watch, in order."""

    def __init__(self, backend) -> None:
        self.seen = []
        self._watch = backend.watch(0.0, self.seen.append)

    def nth(self, number):
        wait_until(lambda: len(self.seen) > number)
        return self.seen[number]

    def stop(self):
        self._watch.stop()


QUICK = Timings(
    query=2.0,
    clone=1.0,
    pull_silence=1.0,
    set=1.0,
    inject=2.0,
    guest_query=2.0,
    exec_probe=1.0,
    exec_probe_interval=0.05,
    socket_only=0.3,
    signal_grace=0.5,
    delete=1.0,
    delete_retry=0.02,
    delete_total=1.5,
    delete_kill_after=0.5,
    runner_watch_retry=0.1,
    warm_probe_interval=0.1,
    tool_check_interval=0.1,
    exit_poll=0.1,
)
"""For tests of what hangs; still long enough on a loaded host for what does not hang."""
