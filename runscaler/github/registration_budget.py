"""How many runners one credential may register: GitHub bears about 170 a minute (docs/protocol.md § 7).

Most of them go to whoever comes first. A part is kept for scale sets that have had few, so that one whose
runners end at once does not use up the budget of the others.
"""

from __future__ import annotations

from collections import defaultdict, deque

MINUTE = 60.0
COMMON = (100, 50)
KEPT = (10, 10)
"""A minute, and at once: together never more than 170 within any minute."""
FEW = 5
"""Registrations of a scale set within a minute up to which it may use what is kept."""


class RegistrationBudget:
    """Times are monotonic seconds. Not thread-safe."""

    def __init__(self) -> None:
        self._common, self._kept = _Bucket(*COMMON), _Bucket(*KEPT)
        self._taken: defaultdict[str, deque[float]] = defaultdict(deque)

    def delay(self, scale_set: str, now: float) -> float:
        """Seconds until the scale set may register a runner."""
        return self._bucket(scale_set, now).delay(now)

    def take(self, scale_set: str, now: float) -> None:
        """It registers one, after that delay."""
        bucket = self._bucket(scale_set, now)
        bucket.take(now)
        self._taken[scale_set].append(now)

    def _bucket(self, scale_set: str, now: float) -> _Bucket:
        taken = self._taken[scale_set]
        while taken and taken[0] <= now - MINUTE:
            taken.popleft()
        may_choose = len(taken) < FEW and self._kept.delay(now) < self._common.delay(now)
        return self._kept if may_choose else self._common


class _Bucket:
    """So many a minute, evenly; after a quiet time `at_once` of them without a pause."""

    def __init__(self, per_minute: int, at_once: int) -> None:
        self._interval = MINUTE / per_minute
        self._slack = (at_once - 1) * self._interval
        self._due = 0.0

    def delay(self, now: float) -> float:
        return max(0.0, self._due - self._slack - now)

    def take(self, now: float) -> None:
        self._due = max(now, self._due) + self._interval
