"""Measures what is free on this host, for the limits of [host] (docs/behaviour.md § 6.4).

Whatever cannot be measured is said once and left out: it guards nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from loguru import logger

from runscaler import host_facts
from runscaler.backends.base import LocalDisks
from runscaler.errors import BackendDown, BackendError
from runscaler.policy.host_guard import Disk, Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runscaler.backends.base import Backend, BackendContext
    from runscaler.config.model import HostSettings

T = TypeVar("T")


class HostMeasure:
    """Call it for a `Measurement`, on one thread at a time. `limits` tells those in force; `backends` grows
    as they are opened."""

    def __init__(
        self, limits: Callable[[], HostSettings], context: BackendContext, backends: Sequence[Backend]
    ) -> None:
        self._limits, self._state_dir, self._backends = limits, context.state_dir, backends
        self._said: set[str] = set()
        self._watched: tuple[str, ...] = ()

    def __call__(self) -> Measurement:
        limits = self._limits()
        memory = self._tried("memory", host_facts.memory) if limits.min_free_memory else None
        load = self._tried("the load", host_facts.load) if limits.max_load else None
        free = None if memory is None else memory.available
        return Measurement(free, self._disks() if limits.min_free_disk else (), load)

    def _disks(self) -> tuple[Disk, ...]:
        """One for each disk, however many of the paths lie on it."""
        found: dict[int, Disk] = {}
        for path in self._paths():
            disk = self._tried(f"the disk of {path}", partial(host_facts.disk, path))
            if disk is not None:
                found.setdefault(disk.device, Disk(str(path), disk.free))
        watched = tuple(disk.path for disk in found.values())
        if watched != self._watched:
            self._watched = watched
            logger.info("min-free-disk watches the disk of {}", " and of ".join(watched) or "nothing")
        return tuple(found.values())

    def _paths(self) -> Iterator[Path]:
        if self._state_dir is not None:
            yield self._state_dir
        for backend in tuple(self._backends):
            try:
                yield from backend.disk_paths() if isinstance(backend, LocalDisks) else ()
            except BackendDown as error:
                logger.debug("the disks of {} are not known: {}", backend.name, error)
            except BackendError as error:
                self._say(f"min-free-disk does not watch the disks of {backend.name}: {error}")

    def _tried(self, what: str, measure: Callable[[], T]) -> T | None:
        try:
            return measure()
        except host_facts.UNTOLD as error:
            self._say(f"{what} cannot be measured, and guards nothing: {error}")
            return None

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            logger.warning("{}", text)
