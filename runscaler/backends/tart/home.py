"""One TART_HOME: its directories, and the turn that short commands take in it."""

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

_LOOK = 0.1
_TURNS: dict[Path, threading.Lock] = {}
_TURNS_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class TartHome:
    """`path` is absolute, with no symbolic link in it. Nothing in it needs to exist."""

    path: Path

    @classmethod
    def of(cls, settings: ScaleSetSettings, environ: Mapping[str, str]) -> TartHome:
        """The set's own, else the environment's, else the user's."""
        return cls.at(settings.tart.home) if settings.tart.home else cls.default(environ)

    @classmethod
    def default(cls, environ: Mapping[str, str]) -> TartHome:
        return cls.at(environ.get("TART_HOME") or "~/.tart")

    @classmethod
    def at(cls, path: str) -> TartHome:
        """The same one by whichever of its names: else its VMs would count once by each."""
        return cls(Path(path).expanduser().resolve())

    @property
    def cache(self) -> Path:
        return self.path / "cache" / "OCIs"

    def vm(self, name: str) -> Vm:
        return Vm(self.path / "vms" / name)

    def vms(self) -> list[Vm]:
        """Every directory of a VM, whole or not, whoever made it."""
        try:
            return [Vm(path) for path in sorted((self.path / "vms").iterdir()) if path.is_dir()]
        except OSError:
            return []

    @contextmanager
    def turn(self, interrupt: Interrupt) -> Iterator[None]:
        """Clone, set, edits of config.json, delete and prune disturb each other: one at a time."""
        with _TURNS_LOCK:
            turn = _TURNS.setdefault(self.path, threading.Lock())
        while not turn.acquire(timeout=_LOOK):
            interrupt.wait(0)
        try:
            interrupt.wait(0)
            yield
        finally:
            turn.release()

    def free_bytes(self) -> int:
        """Of the disk it lies on, or would lie on."""
        place = self.path
        while not place.exists() and place != place.parent:
            place = place.parent
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize

    def __str__(self) -> str:
        return str(self.path)
