"""Time that a test moves by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.errors import Interrupted

if TYPE_CHECKING:
    from runscaler.interrupt import Interrupt


class FakeClock:
    """Starts at monotonic 1000 and wall 1,800,000,000; `jitter` gives half of its range.

    `pause` moves the clock instead of waiting, and `pauses` keeps what was asked for.
    """

    def __init__(self) -> None:
        self._passed = 0.0
        self.pauses: list[float] = []

    def advance(self, seconds: float) -> None:
        self._passed += seconds

    def monotonic(self) -> float:
        return 1000.0 + self._passed

    def wall(self) -> float:
        return 1_800_000_000.0 + self._passed

    def jitter(self, seconds: float) -> float:
        return seconds / 2

    def pause(self, seconds: float, interrupt: Interrupt) -> None:
        if interrupt.is_set():
            raise Interrupted
        self.pauses.append(seconds)
        self.advance(seconds)
