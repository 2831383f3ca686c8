"""How long each phase of one runner's start takes (docs/metrics.md, *The phases of a start*)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.backends.base import StartStep
from runscaler.status import StartPhases

if TYPE_CHECKING:
    from runscaler.backends.base import Place
    from runscaler.clock import Clock


class StartTimer:
    """A stopwatch: what has passed since the last call belongs to the phase that has just ended.

    `ordered_at` (monotonic) is when the demand was seen; a runner whose `place` is a VM slot is a VM, and a
    warm one is made already. A backend may ask for the JIT configuration before
    or after it creates the resource: the time on both sides counts as creation.
    """

    def __init__(self, clock: Clock, ordered_at: float, place: Place) -> None:
        self._clock = clock
        self.is_vm = place.vm_slot is not None
        self._last = ordered_at
        self.phase = "wait"
        """The one under way."""
        self.reaction = 0.0
        """From the demand until the resource began to be made, without GitHub's answer."""
        self._made = bool(place.warm)
        self._seconds: dict[str, float] = {}

    def began(self) -> None:
        """The slot's actor has the order."""
        self._lap("wait", "create")
        self.reaction = self._seconds["wait"]

    def jit_asked(self) -> None:
        self._lap("create", "jit")
        if not self._made:
            self.reaction += self._seconds["create"]

    def jit_answered(self) -> None:
        self._lap("jit", "start" if self._made else "create")

    def reached(self, step: StartStep) -> None:
        self._made = True
        if step is StartStep.CREATED:
            self._lap("create", "boot" if self.is_vm else "start")
        else:
            self._lap("boot", "jit")

    def up(self) -> StartPhases:
        """The resource runs: all phases so far."""
        self._lap("start", "register")
        return StartPhases(**self._seconds)

    def _lap(self, phase: str, following: str) -> None:
        """`phase` is over, and `following` begins."""
        now = self._clock.monotonic()
        self.phase = following
        self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._last
        self._last = now
