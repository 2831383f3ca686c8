"""The floor for Tart: the calls of the tart command that a start needs, one after the other."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runscaler.backends.tart.guest import START_SCRIPT
from runscaler.testing.fake_tart_guest import agent_answers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runscaler.testing.fake_tart_host import FakeTart

NAME = "bare"
CPU, MEMORY = 4, 8192
POLL_SECONDS = 0.001
RUNNER_DIR = "/Users/admin/actions-runner"
MAC = "02:00:00:00:00:fe"


def start_cold(tart: FakeTart, image: str) -> float:
    """Clone, configure and boot a VM and start its runner; returns the seconds that it took."""
    began = time.perf_counter()
    with _booted(tart, image):
        _start_runner(tart)
        return time.perf_counter() - began


@contextmanager
def warm_vm(tart: FakeTart, image: str) -> Iterator[None]:
    """A context with a booted VM that has no runner yet."""
    with _booted(tart, image):
        yield


def start_warm(tart: FakeTart) -> float:
    """Start the runner in the VM of `warm_vm`; returns the seconds that the call took."""
    began = time.perf_counter()
    _start_runner(tart)
    return time.perf_counter() - began


@contextmanager
def _booted(tart: FakeTart, image: str) -> Iterator[None]:
    vm = tart.vm_path(NAME)
    _call(tart, "clone", image, NAME)
    _call(tart, "set", NAME, "--cpu", str(CPU), "--memory", str(MEMORY))
    _set_mac(vm / "config.json")
    run = tart.spawn("run", NAME, "--no-graphics", "--no-audio", "--no-clipboard")
    try:
        while not agent_answers(vm):
            time.sleep(POLL_SECONDS)
        yield
    finally:
        run.kill()
        run.wait()
        _call(tart, "delete", NAME)


def _set_mac(config: Path) -> None:
    config.write_text(json.dumps(json.loads(config.read_text()) | {"macAddress": MAC}))


def _start_runner(tart: FakeTart) -> None:
    words = ("exec", "-i", NAME, "/bin/sh", "-c", START_SCRIPT, "runscaler", RUNNER_DIR)
    output = _call(tart, *words, stdin=b"not a JIT configuration\n")
    assert output.startswith(b"started "), output


def _call(tart: FakeTart, *words: str, stdin: bytes = b"") -> bytes:
    command = [str(tart.bin / "tart"), *words]
    ended = subprocess.run(command, input=stdin, env=tart.environ, capture_output=True, check=True)
    return ended.stdout
