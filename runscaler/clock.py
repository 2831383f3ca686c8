"""Time as a parameter. Only this module imports `time`, apart from programs that stand alone."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from runscaler.interrupt import Interrupt


class Clock(Protocol):
    """Time and randomness, as the program needs them; tests pass `runscaler.testing.clock.FakeClock`."""

    def monotonic(self) -> float:
        """Seconds that never go back, for intervals and deadlines."""

    def wall(self) -> float:
        """Seconds since the epoch, for what people read, tokens and schedules."""

    def jitter(self, seconds: float) -> float:
        """A random number of seconds, uniform in [0, seconds]."""

    def pause(self, seconds: float, interrupt: Interrupt) -> None:
        """Block the calling thread. Raises `Interrupted` as soon as `interrupt` is set."""


class SystemClock:
    """The real clock. A `seed` makes its jitter repeatable."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def jitter(self, seconds: float) -> float:
        return self._random.uniform(0, seconds)

    def pause(self, seconds: float, interrupt: Interrupt) -> None:
        interrupt.wait(seconds)
