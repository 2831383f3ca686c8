"""The latest events, numbered, so that a client that was away gets what it missed."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.events import Event

MOST_EVENTS = 2000
FOR_NEWCOMERS = 500
"""What a client gets that has seen none, or only some of an earlier run."""
_ID = re.compile(r"([0-9a-f]{1,16})-([0-9]{1,15})\Z")


class Numbered(NamedTuple):
    number: int
    event: Event


class RecentEvents:
    """`run` tells this run of the daemon from the others. All methods may be called from any thread."""

    def __init__(self, run: str, most: int = MOST_EVENTS) -> None:
        self.run = run
        self._events: deque[Numbered] = deque(maxlen=most)
        self._last = 0
        self._lock = threading.Lock()

    @property
    def last(self) -> int:
        """The number of the latest event; 0 before the first."""
        return self._last

    def add(self, event: Event) -> None:
        with self._lock:
            self._last += 1
            self._events.append(Numbered(self._last, event))

    def since(self, number: int) -> Sequence[Numbered]:
        """Those after `number` that are still there, oldest first."""
        with self._lock:
            missed = min(self._last - number, len(self._events))
            return [self._events[at] for at in range(len(self._events) - missed, len(self._events))]

    def id_of(self, number: int) -> str:
        """What a client says to be told what came after."""
        return f"{self.run}-{number}"

    def place_of(self, last_id: str) -> int | None:
        """The number in an id that a client has; None if it is of another run, of events that are no longer
        here, or nonsense."""
        found = _ID.match(last_id)
        if found is None or found[1] != self.run:
            return None
        number = int(found[2])
        return number if self._last - len(self._events) <= number <= self._last else None
