"""Ends that the engine's event stream leaves out (docs/behaviour.md § 7.1).

A list that shows an end of which no event came proves that the stream cannot be relied on. From then on the
list is asked every 2 s.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.base import Ending, ResourceEnded, ResourceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runscaler.backends.base import Resource
    from runscaler.clock import Clock

GRACE_SECONDS = 2.0
"""So much later than a list an event may come."""
LIST_SECONDS = 2.0


class MissedEnds:
    """Thread-safe. What ended while the stream was broken is not held against it."""

    def __init__(self, engine: str, clock: Clock, inventory: Callable[[], Iterable[Resource]]) -> None:
        """`engine` is for the log."""
        self._engine = engine
        self._clock = clock
        self._inventory = inventory
        self._lock = threading.Lock()
        self._running: set[str] = set()
        """What ran while the stream stood."""
        self._unheard: dict[str, float] = {}
        """What a list showed as ended without an event, and since when (monotonic)."""
        self._told: set[str] = set()
        self._listed_at = float("-inf")
        self._distrusts = False

    @property
    def silence(self) -> float:
        """How long the stream may be read without a look at `is_due`, in seconds."""
        return LIST_SECONDS if self._distrusts or self._unheard else float("inf")

    def started(self, resource_id: str) -> None:
        with self._lock:
            self._running.add(resource_id)

    def heard(self, resource_id: str) -> None:
        """There was an event of its end."""
        with self._lock:
            self._running.discard(resource_id)
            self._unheard.pop(resource_id, None)
            self._told.add(resource_id)

    def forget(self) -> None:
        """The stream stands again after a break."""
        with self._lock:
            self._running, self._unheard = set(), {}

    def listed(self, resources: Iterable[Resource]) -> None:
        """What the engine lists."""
        now = self._clock.monotonic()
        with self._lock:
            found = list(resources)
            self._told.intersection_update(resource.id for resource in found)
            ended = {resource.id for resource in found if resource.state is ResourceState.ENDED}
            for resource_id in ended & self._running - self._told:
                self._unheard.setdefault(resource_id, now)
            self._running = {resource.id for resource in found} - ended

    def is_due(self) -> bool:
        """Is it time to list?"""
        now = self._clock.monotonic()
        with self._lock:
            if any(now - since >= GRACE_SECONDS for since in self._unheard.values()) and not self._distrusts:
                self._distrusts = True
                logger.warning(
                    "the engine {} does not report every end of a container: it is asked for all of them "
                    "every {:.0f} s",
                    self._engine,
                    LIST_SECONDS,
                )
            return self._distrusts and now - self._listed_at >= LIST_SECONDS

    def ends(self) -> list[ResourceEnded]:
        """List, and return the ends that were not told yet. Raises `BackendError`."""
        found = list(self._inventory())
        with self._lock:
            self._listed_at = self._clock.monotonic()
            self._unheard = {}
            new = [one for one in found if _has_run(one) and one.id not in self._told]
        return [ResourceEnded(one.id, one.ending, one.key) for one in new]


def _has_run(resource: Resource) -> bool:
    """Has it ended, and not only been created, as one whose start is under way?"""
    return resource.state is ResourceState.ENDED and resource.ending != Ending()
