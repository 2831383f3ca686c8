"""What the parts of one scale set actor share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.actors.place import Place, place_of
from runscaler.github.base import ScaleSetId
from runscaler.metrics.own import FAILURES
from runscaler.policy.schedule import timetable

if TYPE_CHECKING:
    from collections.abc import Callable

    from loguru import Logger

    from runscaler.actors import messages as m
    from runscaler.actors.context import ActorContext
    from runscaler.actors.scale_set.slots import Slot
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.metrics.scale_set import ScaleSetMetrics
    from runscaler.metrics.words import FailureReason
    from runscaler.names import ScaleSetKey
    from runscaler.policy.schedule import Limits, Timetable
    from runscaler.status import Counters


class RunnerFacts(Place):
    """What every event about a runner says."""

    at: float
    slot: int
    runner: str


@dataclass(slots=True)
class ScaleSetContext:
    """Made by the scale set actor for its parts; used on that actor's thread only.

    `actors` is what all actors of the process share. `ref` is the actor's own. `send` tells an actor,
    `after` delivers a message to the scale set itself in so many seconds, `changed` makes a new plan
    and a new snapshot due.
    """

    actors: ActorContext
    settings: ScaleSetSettings
    ref: m.Ref
    send: Callable[[m.Ref | None, object], None]
    after: Callable[[float, m.ScaleSetMessage], None]
    changed: Callable[[], None]
    counters: Counters
    scale_set_id: ScaleSetId = field(default=ScaleSetId(0), init=False)
    """At GitHub; 0 until the listener has found or created it."""
    runner_settings: ScaleSetSettings = field(init=False)
    """What runners are started with: the settings, but after a reload the earlier ones until the backend is
    ready."""
    timetable: Timetable = field(init=False)
    """The limits in force, kept up to date by `LimitsInForce`."""
    key: ScaleSetKey = field(init=False)
    clock: Clock = field(init=False)
    log: Logger = field(init=False)
    metrics: ScaleSetMetrics = field(init=False)

    def __post_init__(self) -> None:
        self.runner_settings = self.settings
        self.key, self.clock = self.settings.key, self.actors.clock
        self.timetable = timetable(self.settings, self.clock.wall())
        self.log = logger.bind(**place_of(self.settings))
        self.metrics = self.actors.metrics.of(self.key, self.settings.url)

    @property
    def limits(self) -> Limits:
        """min-runners and max-runners as they are now."""
        return self.timetable.limits

    def count(self, **more: int) -> None:
        """Increase the named counters."""
        self.counters = self.counters.plus(**more)

    def count_failure(self, kind: FailureReason) -> None:
        """A runner failed before a job began."""
        self.count(runners_failed=1)
        self.metrics.count(FAILURES, kind)

    def journal(self, kind: str, **content: object) -> None:
        self.actors.state_store.journal(self.key, kind, **content)

    def log_of(self, slot: Slot) -> Logger:
        """The log, bound to the slot and its runner."""
        return self.log.bind(slot=slot.number, runner=slot.runner)

    def facts(self, slot: int, runner: str | None) -> RunnerFacts:
        """The part of an event that says when, where and which runner."""
        return {
            "at": self.clock.wall(),
            **place_of(self.settings),
            "slot": slot,
            "runner": runner or "",
        }
