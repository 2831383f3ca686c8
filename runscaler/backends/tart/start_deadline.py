"""The time that a start has left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.errors import StartFailed

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt


@dataclass(frozen=True, slots=True)
class StartDeadline:
    """`at` is monotonic time. Both methods raise `StartFailed` once it has passed."""

    clock: Clock
    at: float
    interrupt: Interrupt

    def check(self) -> None:
        """Also raises `Interrupted`."""
        self.interrupt.wait(0)
        self.remaining(0.0)

    def remaining(self, most: float) -> float:
        """The seconds that a step may take, which are `most` at the most."""
        left = self.at - self.clock.monotonic()
        if left <= 0:
            raise StartFailed("the runner did not run in time: its start-timeout has passed")
        return min(left, most)
