"""The whole program in this process on a clock that runs faster, so that minutes of waiting take seconds.

Only the program's own waiting is shorter: sockets, engines and runners work in real time.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from runscaler.actors.inbox import Inbox
from runscaler.autoscaler import Autoscaler
from runscaler.clock import SystemClock

if TYPE_CHECKING:
    import pykka

    from runscaler.actors.base import SupervisedActor
    from runscaler.actors.context import ActorContext
    from runscaler.config.model import Config
    from runscaler.interrupt import Interrupt


class AcceleratedClock:
    """Runs `factor` times as fast as the system's clock, starting with its time."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._real = SystemClock()
        self._monotonic, self._wall = self._real.monotonic(), self._real.wall()

    def monotonic(self) -> float:
        return self._monotonic + self._passed()

    def wall(self) -> float:
        return self._wall + self._passed()

    def jitter(self, seconds: float) -> float:
        return self._real.jitter(seconds)

    def pause(self, seconds: float, interrupt: Interrupt) -> None:
        self._real.pause(self.real(seconds), interrupt)

    def real(self, seconds: float) -> float:
        """The real duration of that many seconds of this clock."""
        return seconds / self._factor

    def _passed(self) -> float:
        return (self._real.monotonic() - self._monotonic) * self._factor


class AcceleratedInbox(Inbox):
    """Waits in real time for as long as its clock's seconds last."""

    def __init__(self, clock: AcceleratedClock) -> None:
        super().__init__(clock)
        self._accelerated = clock

    def _seconds_left(self) -> float | None:
        left = super()._seconds_left()
        return None if left is None else self._accelerated.real(left)


class AcceleratedAutoscaler(Autoscaler):
    """All actors except the root use `clock`; the root's own deadlines are late, which does no harm."""

    def __init__(self, config: Config, clock: AcceleratedClock) -> None:
        super().__init__(config, clock=clock)

    def _build(self) -> ActorContext:
        return replace(super()._build(), launch=launch)


def launch(kind: type[SupervisedActor[Any]], *args: object) -> pykka.ActorRef[Any]:
    return accelerated(kind).start(*args)


@cache
def accelerated(kind: type[SupervisedActor[Any]]) -> type[SupervisedActor[Any]]:
    """The same class of actor with an `AcceleratedInbox`."""
    return type(kind.__name__, (kind,), {"_create_actor_inbox": lambda self: AcceleratedInbox(self.clock)})
