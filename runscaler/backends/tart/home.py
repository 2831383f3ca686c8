"""One TART_HOME: its directories, and the lock that serialises short commands in it."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.tart.vm import Vm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt

_LOCKS: dict[Path, threading.Lock] = {}
_LOCKS_LOCK = threading.Lock()
_INTERRUPT_CHECK = 0.1


@contextmanager
def interruptible(lock: threading.Lock, interrupt: Interrupt) -> Iterator[None]:
    """Hold `lock`; raises `Interrupted` while it is waited for."""
    while not lock.acquire(timeout=_INTERRUPT_CHECK):
        interrupt.wait(0)
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class TartHome:
    """`path` is absolute, with no symbolic link in it. Nothing in it needs to exist."""

    path: Path

    @classmethod
    def of(cls, settings: ScaleSetSettings, environ: Mapping[str, str]) -> TartHome:
        """The scale set's own, else the environment's, else the user's."""
        return cls.at(settings.tart.home) if settings.tart.home else cls.default(environ)

    @classmethod
    def default(cls, environ: Mapping[str, str]) -> TartHome:
        return cls.at(environ.get("TART_HOME") or "~/.tart")

    @classmethod
    def at(cls, path: str) -> TartHome:
        """Equal for all paths that lead to the same directory, so that no VM is counted twice."""
        return cls(Path(path).expanduser().resolve())

    @property
    def cache(self) -> Path:
        return self.path / "cache" / "OCIs"

    def vm(self, name: str) -> Vm:
        return Vm(self.path / "vms" / name)

    def vms(self) -> list[Vm]:
        """Every VM directory, complete or not, whoever made it."""
        try:
            return [Vm(path) for path in sorted((self.path / "vms").iterdir()) if path.is_dir()]
        except OSError:
            return []

    @contextmanager
    def exclusive(self, interrupt: Interrupt) -> Iterator[None]:
        """For clone, set, edits of config.json, delete and prune, which disturb each other."""
        with _LOCKS_LOCK:
            lock = _LOCKS.setdefault(self.path, threading.Lock())
        with interruptible(lock, interrupt):
            interrupt.wait(0)
            yield

    def free_bytes(self) -> int:
        """Of the disk on which it lies, or would lie."""
        path = self.path
        while not path.exists() and path != path.parent:
            path = path.parent
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def __str__(self) -> str:
        return str(self.path)
