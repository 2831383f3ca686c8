"""What will happen in a run: the same for the same seed, length and sets. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CALM = 0.25
"""The share of plans in which the daemon lives through, so that its counters can be compared."""
FAULT_EVERY, RUNNER_DIES_EVERY, DAEMON_DIES_EVERY, SESSION_ENDS_EVERY = 2.0, 9.0, 15.0, 20.0
JOB_EVERY, BURST_EVERY = 1.0, 20.0
BURST = 8
LONGEST_JOB = 2.0
LONGEST_AWAY = 2.0
"""Seconds that a daemon stays away at most."""


@dataclass(frozen=True, slots=True)
class QueueJob:
    """`seconds` is what the job takes on its runner."""

    at: float
    number: int
    scale_set: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BreakWire:
    """A fault of protocol.md 10 at the simulator, for the next `count` calls that it fits."""

    at: float
    fault: str
    count: int
    params: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class EndSession:
    """`how`: expire, expire-token or steal."""

    at: float
    scale_set: str
    how: str


@dataclass(frozen=True, slots=True)
class KillRunner:
    """The runner dies where it runs: in its job, or while it waits for one."""

    at: float
    busy: bool
    pick: float
    """Which of those that there are then: 0 is the oldest, 1 the newest."""


@dataclass(frozen=True, slots=True)
class EndDaemon:
    """By `kill -9`, or in order by SIGTERM."""

    at: float
    by_force: bool


@dataclass(frozen=True, slots=True)
class StartDaemon:
    at: float


Deed: TypeAlias = QueueJob | BreakWire | EndSession | KillRunner | EndDaemon | StartDaemon


@dataclass(frozen=True, slots=True)
class Plan:
    """All `deeds` by time, in seconds from the beginning."""

    seed: int
    seconds: float
    deeds: tuple[Deed, ...]

    @property
    def daemon_lives_through(self) -> bool:
        return not any(isinstance(deed, EndDaemon) for deed in self.deeds)


def make_plan(seed: int, seconds: float, scale_sets: tuple[str, ...]) -> Plan:
    """A stream of jobs for the sets, and everything that befalls them within `seconds`."""
    chance = random.Random(seed)
    calm = chance.random() < CALM
    deeds: list[Deed] = [
        *_jobs(chance, seconds, scale_sets),
        *_faults(chance, seconds),
        *_ended_sessions(chance, seconds, scale_sets),
        *_dead_runners(chance, seconds),
    ]
    if not calm:
        deeds += _dead_daemons(chance, seconds)
    return Plan(seed, seconds, tuple(sorted(deeds, key=lambda deed: deed.at)))


def _times(chance: random.Random, seconds: float, every: float) -> list[float]:
    """Moments, one for each `every` seconds and at least one."""
    return sorted(round(chance.uniform(0.0, seconds), 2) for _ in range(max(1, round(seconds / every))))


def _jobs(chance: random.Random, seconds: float, scale_sets: tuple[str, ...]) -> Iterator[QueueJob]:
    moments = _times(chance, seconds, JOB_EVERY)
    for moment in _times(chance, seconds, BURST_EVERY):
        moments += [moment] * BURST
    for number, moment in enumerate(sorted(moments), start=1):
        yield QueueJob(moment, number, chance.choice(scale_sets), round(chance.uniform(0.0, LONGEST_JOB), 2))


def _faults(chance: random.Random, seconds: float) -> Iterator[BreakWire]:
    for moment in _times(chance, seconds, FAULT_EVERY):
        name = chance.choice(sorted(FAULTS))
        count, choices = FAULTS[name]
        params = tuple((key, chance.choice(values)) for key, values in choices.items())
        yield BreakWire(moment, name, chance.randint(1, count), params)


def _ended_sessions(
    chance: random.Random, seconds: float, scale_sets: tuple[str, ...]
) -> Iterator[EndSession]:
    """At most one is stolen: the thief holds it until it expires."""
    ways = ["expire", "expire-token", "steal"]
    for moment in _times(chance, seconds, SESSION_ENDS_EVERY):
        how = chance.choice(ways)
        if how == "steal":
            ways.remove(how)
        yield EndSession(moment, chance.choice(scale_sets), how)


def _dead_runners(chance: random.Random, seconds: float) -> Iterator[KillRunner]:
    for moment in _times(chance, seconds, RUNNER_DIES_EVERY):
        yield KillRunner(moment, chance.random() < 0.5, chance.random())


def _dead_daemons(chance: random.Random, seconds: float) -> Iterator[Deed]:
    """Each is back before the next one may go."""
    back = 0.0
    for moment in _times(chance, seconds, DAEMON_DIES_EVERY):
        gone = max(moment, back)
        back = round(gone + chance.uniform(0.0, LONGEST_AWAY), 2)
        yield EndDaemon(gone, chance.random() < 0.75)
        yield StartDaemon(back)


FAULTS: Mapping[str, tuple[int, Mapping[str, tuple[object, ...]]]] = {
    "delay": (20, {"seconds": (0.1, 0.3, 1.0)}),
    "F3": (3, {}),
    "F4": (3, {}),
    "F8": (2, {}),
    "F9": (2, {"shape": ("invalid", "list", "string")}),
    "F10": (1, {}),
    "F11": (20, {}),
    "F13": (8, {}),
    "F14": (1, {"retryAfter": (1, 2), "date": (True, False)}),
    "F23": (1, {}),
    "F25": (1, {}),
    "F31": (2, {}),
    "F41": (2, {}),
    "F42": (2, {}),
    "F43": (2, {}),
    "F47": (2, {"outer": (False, True)}),
    "F51": (1, {"kind": ("element", "text")}),
    # Not 404: the simulator keeps what it says is gone, and a message that is gone is rightly forgotten.
    "F53": (3, {"status": (500, 503)}),
    "F71": (2, {}),
    "F72": (4, {"status": (0, 500), "seconds": (0.0, 0.5)}),
}
"""Each fault's greatest count, and what its parameters may be."""
LOSSY = frozenset({"F43", "F47", "F51"})
"""Faults that hide a message from the daemon, or that a job began: its counters may then stay behind."""
