"""The clock of the simulated GitHub, which faults can move (faults F22 and F30)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt


class OffsetClock:
    """`skew` moves the wall clock only; `advance` lets time pass, as if the client's host had slept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._passed = 0.0
        self._skew = 0.0

    def skew(self, seconds: float) -> None:
        self._skew += seconds

    def advance(self, seconds: float) -> None:
        self._passed += seconds

    def monotonic(self) -> float:
        return self._clock.monotonic() + self._passed

    def wall(self) -> float:
        return self._clock.wall() + self._passed + self._skew

    def jitter(self, seconds: float) -> float:
        return self._clock.jitter(seconds)

    def pause(self, seconds: float, interrupt: Interrupt) -> None:
        self._clock.pause(seconds, interrupt)
