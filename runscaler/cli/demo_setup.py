"""What the demo creates before its daemon starts: a fake Mac, or a VM with the demo's runner."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from runscaler.ops.demo_tart import demo_vm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from runscaler.backends.base import Progress
    from runscaler.ops.demo import DemoTarget

FAKE_MAC = "mac"
"""The fake Mac's directory in a demo's directory."""
IMAGE = "demo.example/macos/runner:latest"


@dataclass(frozen=True, slots=True)
class PreparedTarget:
    """The target with an existing image. `leftovers` lists what is left of a fake Mac."""

    target: DemoTarget
    leftovers: Callable[[], list[str]] = list


@contextmanager
def prepared(target: DemoTarget, folder: Path, progress: Progress) -> Iterator[PreparedTarget]:
    """Prepare the target; everything is removed at the end of the block. Raises `BackendError`."""
    if target.is_fake_tart:
        with _fake_mac(target, folder / FAKE_MAC) as made:
            yield made
    elif target.backend == "tart":
        with demo_vm(target.image, progress) as name:
            yield PreparedTarget(replace(target, image=name))
    else:
        yield PreparedTarget(target)


def stop_fake_mac(folder: Path) -> None:
    """End the processes of the fake Mac that an earlier demo left in its directory, if it had one."""
    from runscaler.testing.fake_tart_host import FakeTart

    if (folder / FAKE_MAC).exists():
        FakeTart(folder / FAKE_MAC).kill_everything()


@contextmanager
def _fake_mac(target: DemoTarget, folder: Path) -> Iterator[PreparedTarget]:
    """Until the end of the block this process finds the fake tart, and its TART_HOME and VM slots."""
    from runscaler.testing.fake_tart_host import FakeTart, demo_runner

    agent = files("runscaler.simulator").joinpath("agent.py")
    with as_file(agent) as path, FakeTart(folder, limit=target.tart.max_vms) as tart:
        tart.add_image(IMAGE, demo_runner(path))
        slots = {"RUNSCALER_TART_SLOTS": str(folder / "slots")}
        with _environment(tart.environ | slots):
            yield PreparedTarget(replace(target, image=IMAGE), tart.leftovers)


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
