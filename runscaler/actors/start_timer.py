"""How long each phase of one runner's start takes (docs/metrics.md, *The phases of a start*)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.backends.base import StartStep
from runscaler.status import StartPhases

if TYPE_CHECKING:
    from runscaler.clock import Clock

_PHASE_OF = {StartStep.CREATED: "create", StartStep.BOOTED: "boot"}


class StartTimer:
    """A stopwatch: what has passed since the last call belongs to the phase that has just ended.

    `ordered_at` (monotonic) is when the demand was seen. A backend may ask for the JIT configuration before
    or after it creates the resource: the time on both sides counts as creation.
    """

    def __init__(self, clock: Clock, ordered_at: float) -> None:
        self._clock = clock
        self._last = ordered_at
        self._seconds: dict[str, float] = {}

    def began(self) -> None:
        """The slot's actor has the order."""
        self._lap("wait")

    def jit_asked(self) -> None:
        self._lap("create")

    def jit_answered(self) -> None:
        self._lap("jit")

    def reached(self, step: StartStep) -> None:
        self._lap(_PHASE_OF[step])

    def up(self) -> StartPhases:
        """The resource runs: all phases so far."""
        self._lap("start")
        return StartPhases(**self._seconds)

    def _lap(self, phase: str) -> None:
        now = self._clock.monotonic()
        self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._last
        self._last = now
