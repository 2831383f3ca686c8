"""How fast the calls of one credential may follow each other (docs/protocol.md § 7). Nothing waits here.

Each kind of call has a queue of its own, so that a start never waits behind housekeeping.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.errors import RateLimited
from runscaler.github.registration_budget import RegistrationBudget
from runscaler.github.wire import Lane
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.clock import Clock
    from runscaler.github.wire import Request


@dataclass(frozen=True, slots=True)
class Pace:
    """So many calls a second; after a quiet time `at_once` of them without a pause."""

    per_second: float
    at_once: int

    @property
    def interval(self) -> float:
        return 1.0 / self.per_second


USUAL: Mapping[Lane, Pace] = {Lane.SETUP: Pace(20.0, 40), Lane.HOUSEKEEPING: Pace(20.0, 40)}
"""Lanes without a pace are not slowed. A few scale sets start at once, a hundred within 20 s."""
AFTER_LIMIT: Mapping[Lane, Pace] = {
    Lane.POLL: Pace(5.0, 5),
    Lane.START: Pace(4.0, 4),
    Lane.END: Pace(20.0, 20),
    Lane.SETUP: Pace(2.0, 4),
    Lane.HOUSEKEEPING: Pace(1.0, 2),
}
"""When a rate limit is over, everybody who was kept waiting comes at once: that would bring the next one."""
CAREFUL_SECONDS = 60.0
"""How long `AFTER_LIMIT` holds, from the end of the limit."""


class Pacer:
    """One for each credential. Thread-safe. `hosted`: GitHub itself, whose limit on registrations is known;
    another server's is respected once it has shown that it has limits."""

    def __init__(self, clock: Clock, *, hosted: bool) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lanes: defaultdict[tuple[str, Lane], float] = defaultdict(float)
        """When the next call of a lane is due, by host."""
        self._careful_until: dict[str, float] = {}
        self._registrations = RegistrationBudget() if hosted else None

    def delay(self, request: Request, patience: float | None = None) -> float:
        """Seconds until the request may be sent, which then counts as sent. Raises `RateLimited` if that is
        longer than `patience`; then it does not count."""
        with self._lock:
            now = self._clock.monotonic()
            seconds, budget = self._lane_delay(request, now), self._registrations
            if budget is not None and request.registers:
                seconds = max(seconds, budget.delay(request.registers, now))
            if patience is not None and seconds > patience:
                raise _too_long(request, seconds)
            self._take(request, now)
            if budget is not None and request.registers:
                budget.take(request.registers, now)
            return seconds

    def limited(self, host: str, until: float) -> None:
        """The host allows nothing before `until` (monotonic seconds): be careful for a while after that."""
        with self._lock:
            self._careful_until[host] = max(until + CAREFUL_SECONDS, self._careful_until.get(host, 0.0))
            for lane in Lane:
                self._lanes[host, lane] = max(until, self._lanes[host, lane])
            self._registrations = self._registrations or RegistrationBudget()

    def _pace(self, request: Request, now: float) -> Pace | None:
        is_careful = now < self._careful_until.get(request.host, 0.0)
        return (AFTER_LIMIT if is_careful else USUAL).get(_lane(request))

    def _lane_delay(self, request: Request, now: float) -> float:
        pace = self._pace(request, now)
        if pace is None:
            return 0.0
        due = self._lanes[request.host, _lane(request)]
        return max(0.0, due - (pace.at_once - 1) * pace.interval - now)

    def _take(self, request: Request, now: float) -> None:
        pace = self._pace(request, now)
        if pace is not None:
            place = request.host, _lane(request)
            self._lanes[place] = max(now, self._lanes[place]) + pace.interval


def _lane(request: Request) -> Lane:
    if request.poll:
        return Lane.POLL
    return Lane.SETUP if request.rest else request.lane


def _too_long(request: Request, seconds: float) -> RateLimited:
    pause = format_duration(max(1, round(seconds)))
    line = f"rate limited: could not {request.what} yet: other calls of this credential are due for {pause}"
    return RateLimited(line, retry_after=seconds)
