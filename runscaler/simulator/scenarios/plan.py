"""Scenarios as data: sequences of faults to test a fleet with (docs/behaviour.md § 10.4).

The steps run one after another: each waits for its trigger, then for its seconds, then runs its actions.
Time starts when a client first polls with a capacity above 0. Seconds are meant for GitHub's own timers;
they are scaled down with shorter timers, and varied a little by a seed.
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
"""Parameters of faults that are in seconds, and so are scaled."""


class Trigger(StrEnum):
    """What a step waits for before its seconds start."""

    NONE = "nothing"
    LISTENING = "a client that polls"
    IDLE = "a runner that is idle"
    EXHAUSTED = "the latest fault to be exhausted"


@dataclass(frozen=True, slots=True)
class SetFault:
    """Set a fault as the control API does, for `lasts` seconds, or until it is exhausted or removed.

    `each_set` sets it once for every live scale set, for faults that act on a single one.
    """

    fault: str
    match: Match = field(default_factory=Match)
    count: int | str | None = "default"
    params: Mapping[str, object] = field(default_factory=dict)
    lasts: float | None = None
    each_set: bool = False


@dataclass(frozen=True, slots=True)
class RemoveFault:
    """Remove the faults of this name that `SetFault` has set."""

    fault: str


@dataclass(frozen=True, slots=True)
class ChangeSessions:
    """Apply an action of the control API to every live session: expire, expire-token, steal, mute."""

    action: str


@dataclass(frozen=True, slots=True)
class ExpireAdminTokens:
    """Expire all admin JWTs."""


@dataclass(frozen=True, slots=True)
class QueueJob:
    """Queue a job with this shell step for the first scale set."""

    name: str
    run: str


@dataclass(frozen=True, slots=True)
class CancelJobs:
    """Cancel the jobs of `QueueJob` that no runner has started."""


Action: TypeAlias = SetFault | RemoveFault | ChangeSessions | ExpireAdminTokens | QueueJob | CancelJobs


@dataclass(frozen=True, slots=True)
class ScenarioStep:
    """`after` is in seconds from its trigger. An `exact` step is neither scaled nor varied, for waits that
    clients do not scale either."""

    text: str
    actions: tuple[Action, ...]
    after: float = 0.0
    trigger: Trigger = Trigger.NONE
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """`about` says in a line what happens, `look_for` what a good client does then."""

    name: str
    about: str
    story: str
    """What it led to in practice, in general terms."""
    look_for: str
    seed: int
    steps: tuple[ScenarioStep, ...]
    length: float
    """The simulator's own jobs arrive over this many seconds."""
    quiet: bool = False
    """The simulator's own jobs arrive only after the last step, because they would interfere with it."""
    capacity_trap: bool = False

    def adapt(self, options: Options) -> Options:
        """The options, with those that the scenario needs turned on."""
        return replace(options, capacity_trap=options.capacity_trap or self.capacity_trap)


def time_scale(timers: Timers) -> float:
    """The ratio of these timers to GitHub's own: 0.1 for `FAST`."""
    return timers.long_poll / GITHUB.long_poll


def scaled_steps(scenario: Scenario, seed: int, scale: float) -> tuple[ScenarioStep, ...]:
    """The steps with their scaled and varied times; the same for the same seed."""
    random = Random(seed)
    return tuple(_scaled_step(step, scale, random.uniform(1 - JITTER, 1 + JITTER)) for step in scenario.steps)


def arrivals(scenario: Scenario, count: int, seed: int, scale: float) -> tuple[float, ...]:
    """The times in seconds at which `count` jobs arrive: the first at once, the others spread evenly with
    some variation."""
    random = Random(seed)
    gap = scenario.length * scale / max(1, count)
    return tuple(gap * (number and number + random.uniform(-0.5, 0.5)) for number in range(count))


def _scaled_step(step: ScenarioStep, scale: float, variation: float) -> ScenarioStep:
    after = step.after if step.exact else step.after * scale * variation
    return replace(step, after=after, actions=tuple(_scaled_action(action, scale) for action in step.actions))


def _scaled_action(action: Action, scale: float) -> Action:
    if not isinstance(action, SetFault):
        return action
    params = {
        key: _scaled_time(value, scale) if key in TIMES else value for key, value in action.params.items()
    }
    return replace(action, params=params, lasts=None if action.lasts is None else action.lasts * scale)


def _scaled_time(value: object, scale: float) -> object:
    """Integers stay integers, and at least 1."""
    if isinstance(value, int):
        return max(1, round(value * scale))
    return value * scale if isinstance(value, float) else value
