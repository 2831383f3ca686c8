"""What the demo makes itself before its daemon starts: a fake Mac, or a VM with the demo's runner."""

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
    from runscaler.ops.demo import Ground

IMAGE = "demo.example/macos/runner:latest"


@dataclass(frozen=True, slots=True)
class Furnished:
    """The ground with an image that is there; `leftovers` tells what is left of a fake Mac."""

    ground: Ground
    leftovers: Callable[[], list[str]] = list


@contextmanager
def furnished(ground: Ground, folder: Path, progress: Progress) -> Iterator[Furnished]:
    """Everything is removed afterwards. Raises `BackendError`."""
    if ground.is_pretended:
        with _pretended_mac(ground, folder / "mac") as made:
            yield made
    elif ground.backend == "tart":
        with demo_vm(ground.image, progress) as name:
            yield Furnished(replace(ground, image=name))
    else:
        yield Furnished(ground)


@contextmanager
def _pretended_mac(ground: Ground, folder: Path) -> Iterator[Furnished]:
    """Its tart is this process's until the end; so are its TART_HOME and VM slots."""
    from runscaler.testing.fake_tart_host import FakeTart, demo_runner

    agent = files("runscaler.simulator").joinpath("agent.py")
    with as_file(agent) as path, FakeTart(folder, limit=ground.tart.max_vms) as tart:
        tart.add_image(IMAGE, demo_runner(path))
        slots = {"RUNSCALER_TART_SLOTS": str(folder / "slots")}
        with _environment(tart.environ | slots):
            yield Furnished(replace(ground, image=IMAGE), tart.leftovers)


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
