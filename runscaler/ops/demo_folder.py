"""A demo's directory, and the removal of those that earlier demos left when they were killed.

A living demo holds the lock in its directory. One that is not held belongs to a dead demo, and names what
its runners were.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.base import BackendContext
from runscaler.backends.registry import factory_for
from runscaler.clock import SystemClock
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.errors import HostError, RunscalerError
from runscaler.interrupt import Interrupt
from runscaler.ops.lock import LOCK, StateLock
from runscaler.ops.owner import read_owner
from runscaler.private_files import read_private
from runscaler.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.ops.demo import DemoTarget

PREFIX = "runner-demo-"
STATE = "state"
"""The daemon's state directory in a demo's directory."""
TARGET = "target.json"


@contextmanager
def demo_folder(target: DemoTarget) -> Iterator[Path]:
    """Create the directory of a demo; it is removed at the end of the block."""
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_temporary_directory()))
    lock = StateLock(path)
    try:
        lock.acquire()
        backend = "" if target.is_fake_tart else target.backend
        where = {"backend": backend, "docker-host": target.docker.endpoint}
        (path / TARGET).write_text(json.dumps(where))
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        lock.release()


def remove_earlier_demos(stop_fake_mac: Callable[[Path], None]) -> tuple[list[str], list[str]]:
    """Remove what dead demos of this user left; returns what was removed and what could not be.

    `stop_fake_mac` is called with the directory of each before it is deleted.
    """
    removed: list[str] = []
    left: list[str] = []
    for path in sorted(_temporary_directory().glob(f"{PREFIX}*")):
        lock = _lock_of_dead(path)
        if lock is None:
            continue
        try:
            stop_fake_mac(path)
            removed += _remove_runners(path)
            shutil.rmtree(path)
            removed.append(f"directory {path}")
        except (OSError, RunscalerError) as error:
            left.append(f"{path} of an earlier demo, and its runners: {error}")
        finally:
            lock.release()
    return removed, left


def _lock_of_dead(path: Path) -> StateLock | None:
    """The acquired lock of a dead demo's directory; None for a living one or another user's."""
    try:
        if path.is_symlink() or path.stat().st_uid != os.getuid() or not (path / LOCK).exists():
            return None
        lock = StateLock(path)
        lock.acquire()
    except (OSError, HostError):
        return None
    return lock


def _remove_runners(path: Path) -> list[str]:
    """Remove the runners of the demo that used this directory. Raises `BackendError`."""
    owner, settings = read_owner(path / STATE), _settings(path)
    if owner is None or settings is None:
        return []
    context = BackendContext(owner, path / STATE, SystemClock())
    backend = factory_for(settings.backend).create(settings, context)
    try:
        found = backend.inventory()
        for one in found:
            backend.remove(one, force=True, interrupt=Interrupt())
    finally:
        backend.close()
    return [f"{settings.backend} runner {one.runner}" for one in found]


def _settings(path: Path) -> ScaleSetSettings | None:
    """The settings that lead to the demo's runners; None if it had written none yet, or used a fake tart."""
    try:
        where = parse_json(read_private(path / TARGET))
        if not isinstance(where, dict):
            return None
        backend, host = str(where["backend"]), str(where["docker-host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not backend:
        return None
    docker = DockerSettings(docker_host=host)
    return ScaleSetSettings(url="https://demo.example/demo", name="demo", backend=backend, docker=docker)


def _temporary_directory() -> Path:
    """Raises `HostError` if this host has none that can be written to."""
    try:
        return Path(tempfile.gettempdir()).resolve()
    except FileNotFoundError as error:
        raise HostError(
            "the demo needs a directory for temporary files, and none can be written to",
            fixes=("set TMPDIR to a directory that can, or run the demo in one",),
        ) from error
