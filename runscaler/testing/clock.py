"""A clock that tests move by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.errors import Interrupted

if TYPE_CHECKING:
    from runscaler.interrupt import Interrupt


class FakeClock:
    """Starts at 1,000 s monotonic and `wall` s wall time; `jitter` returns half its range.

    `pause` advances the clock instead of waiting and records its seconds in `pauses`.
    """

    def __init__(self, wall: float = 1_800_000_000.0) -> None:
        self._begin = wall
        self._passed = 0.0
        self.pauses: list[float] = []

    def advance(self, seconds: float) -> None:
        self._passed += seconds

    def monotonic(self) -> float:
        return 1000.0 + self._passed

    def wall(self) -> float:
        return self._begin + self._passed

    def jitter(self, seconds: float) -> float:
        return seconds / 2

    def pause(self, seconds: float, interrupt: Interrupt) -> None:
        if interrupt.is_set():
            raise Interrupted
        self.pauses.append(seconds)
        self.advance(seconds)
