"""What a scenario is: a bad day as data (docs/behaviour.md § 10.4).

A plan is a chain: each step waits for its sign, then for its seconds, and strikes. Second 0 is when a
client first polls with a capacity above 0: from then on there is a fleet to strike at. Seconds are
those of GitHub's own scale; with shorter timers they shrink, and a seed scatters them a little.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from runscaler.simulator.faults.row import Match
from runscaler.simulator.timers import GITHUB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.simulator.options import Options
    from runscaler.simulator.timers import Timers

JITTER = 0.2
TIMES = ("seconds", "retryAfter")
"""Parameters of faults that are seconds, and shrink as the plan does."""


class Trigger(StrEnum):
    """What a step waits for before its seconds begin."""

    NONE = "nothing"
    LISTENING = "a client that polls"
    IDLE = "a runner that is idle"
    EXHAUSTED = "the last fault to have struck as often as it shall"


@dataclass(frozen=True, slots=True)
class SetFault:
    """A fault as the control API sets it; `lasts` seconds, or until it is spent or lifted.

    `each_set`: once for every live scale set, for faults that are about one.
    """

    fault: str
    match: Match = field(default_factory=Match)
    count: int | str | None = "default"
    params: Mapping[str, object] = field(default_factory=dict)
    lasts: float | None = None
    each_set: bool = False


@dataclass(frozen=True, slots=True)
class RemoveFault:
    """Take back what `SetFault` set under this name."""

    fault: str


@dataclass(frozen=True, slots=True)
class ChangeSessions:
    """An action of the control API on every live session: expire, expire-token, steal, mute."""

    action: str


@dataclass(frozen=True, slots=True)
class ExpireAdminTokens:
    """Every admin JWT is over now."""


@dataclass(frozen=True, slots=True)
class QueueJob:
    """One job with this shell step for the first scale set."""

    name: str
    run: str


@dataclass(frozen=True, slots=True)
class CancelJobs:
    """People cancel what the plan has queued and nobody has started."""


Action: TypeAlias = SetFault | RemoveFault | ChangeSessions | ExpireAdminTokens | QueueJob | CancelJobs


@dataclass(frozen=True, slots=True)
class ScenarioStep:
    """`after` its sign, in seconds; `exact` ones neither shrink nor scatter, as clients' own waits don't."""

    text: str
    actions: tuple[Action, ...]
    after: float = 0.0
    trigger: Trigger = Trigger.NONE
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """`about` and `look_for` are a line each: what happens, and what a good client does then."""

    name: str
    about: str
    story: str
    """Who lived through it, in general terms."""
    look_for: str
    seed: int
    steps: tuple[ScenarioStep, ...]
    length: float
    """Seconds over which jobs that the simulator queues itself arrive."""
    quiet: bool = False
    """Those jobs come only when the plan is over: other work would spoil it."""
    capacity_trap: bool = False

    def adapt(self, options: Options) -> Options:
        """The options with what the scenario needs beside its faults."""
        return replace(options, capacity_trap=options.capacity_trap or self.capacity_trap)


def time_scale(timers: Timers) -> float:
    """How much shorter than GitHub's own these timers are: 0.1 for the fast ones."""
    return timers.long_poll / GITHUB.long_poll


def scaled_steps(scenario: Scenario, seed: int, scale: float) -> tuple[ScenarioStep, ...]:
    """The steps in seconds of this run; the same for the same seed."""
    random = Random(seed)
    return tuple(_scaled_step(step, scale, random.uniform(1 - JITTER, 1 + JITTER)) for step in scenario.steps)


def arrivals(scenario: Scenario, count: int, seed: int, scale: float) -> tuple[float, ...]:
    """When each of `count` jobs arrives, in seconds: the first at once, the others scattered evenly."""
    random = Random(seed)
    gap = scenario.length * scale / max(1, count)
    return tuple(gap * (number and number + random.uniform(-0.5, 0.5)) for number in range(count))


def _scaled_step(step: ScenarioStep, scale: float, chance: float) -> ScenarioStep:
    after = step.after if step.exact else step.after * scale * chance
    return replace(step, after=after, actions=tuple(_scaled_action(action, scale) for action in step.actions))


def _scaled_action(action: Action, scale: float) -> Action:
    if not isinstance(action, SetFault):
        return action
    params = {
        key: _scaled_time(value, scale) if key in TIMES else value for key, value in action.params.items()
    }
    return replace(action, params=params, lasts=None if action.lasts is None else action.lasts * scale)


def _scaled_time(value: object, scale: float) -> object:
    """Whole seconds stay whole, and are at least one."""
    if isinstance(value, int):
        return max(1, round(value * scale))
    return value * scale if isinstance(value, float) else value
