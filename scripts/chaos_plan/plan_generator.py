"""Generate a plan from a seed: the same plan for the same seed, length, scale sets and target. Pure.

Each kind of action has its own random numbers, so that adding or removing one kind does not change the
others. A plan uses only some of the wire faults: with fewer kinds, each occurs more often and meets more of
the others.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING

from chaos_plan.plan import (
    PATIENT_DRAIN,
    BreakEngine,
    BreakWire,
    ContinueRunners,
    EndDaemon,
    EndEngine,
    EndSession,
    KillRunner,
    PauseRunner,
    Plan,
    QueueJob,
    RunSettings,
    StartDaemon,
    StartEngine,
)
from chaos_plan.wire_faults import FAULTS, SLOW_AT_MOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos_plan.plan import Action


class TargetKind(StrEnum):
    """Where runners run. Only an engine that belongs to the run is stopped and started as well."""

    PROCESS = "process"
    DOCKER = "docker"
    OWN_ENGINE = "own-engine"


COMPARABLE_SHARE = 0.25
"""How many of all plans allow the daemon's counters to be compared with GitHub's."""
BURST_SIZE = 8
LONG_JOB_SHARE = 0.08
FAULT_KINDS = 16

# Mean intervals and longest durations, in seconds.
JOB_INTERVAL, BURST_INTERVAL = 1.0, 20.0
SHORT_JOB_SECONDS, LONG_JOB_SECONDS = 2.0, 10.0
FAULT_INTERVAL, SESSION_INTERVAL = 2.0, 20.0
KILL_INTERVAL, PAUSE_INTERVAL, PAUSE_SECONDS = 9.0, 15.0, 8.0
DAEMON_INTERVAL, DAEMON_DOWN_SECONDS = 15.0, 2.0
ENGINE_FAULT_INTERVAL, ENGINE_INTERVAL = 10.0, 45.0

WAYS_TO_END = ("kill", "kill", "kill", "stop", "stop", "twice")
"""Drawn with equal probability: half of all ends are kills."""
ENGINE_FAULTS = (
    BreakEngine(0, "cut"),
    BreakEngine(0, "full", count=3, what="create"),
    BreakEngine(0, "full", count=2, what="start"),
    BreakEngine(0, "full", count=3, what="delete"),
    BreakEngine(0, "slow", count=20, seconds=1.0),
    BreakEngine(0, "hang", seconds=8.0),
    BreakEngine(0, "away", seconds=20.0),
)
"""Each kind with its greatest count and duration."""


def make_plan(
    seed: int, seconds: float, scale_sets: Sequence[str], target: TargetKind = TargetKind.PROCESS
) -> Plan:
    """Jobs for the scale sets and the faults that are injected within `seconds`, sorted by time."""

    def random_for(purpose: str) -> Random:
        return Random(f"{seed} {purpose}")

    comparable = random_for("calm").random() < COMPARABLE_SHARE
    settings = _settings(random_for("setting"), scale_sets)
    actions: list[Action] = [
        *_jobs(random_for("jobs"), seconds, scale_sets),
        *_faults(
            random_for("faults"),
            seconds,
            scale_sets,
            _kinds(random_for("kinds"), settings, comparable=comparable),
        ),
        *_ended_sessions(random_for("sessions"), seconds, scale_sets),
        *_killed_runners(random_for("runners"), seconds),
        *_paused_runners(random_for("pauses"), seconds),
    ]
    if not comparable:
        actions += _daemon_restarts(random_for("daemons"), seconds)
    if target is not TargetKind.PROCESS:
        actions += _engine_faults(random_for("engine"), seconds)
    if target is TargetKind.OWN_ENGINE:
        actions += _engine_restarts(random_for("engines"), seconds)
    return Plan(seed, seconds, settings, tuple(sorted(actions, key=lambda action: action.at)), comparable)


def _settings(random: Random, scale_sets: Sequence[str]) -> RunSettings:
    return RunSettings(
        min_runners={name: random.choice((0, 1, 1, 2)) for name in scale_sets},
        idle_timeout=random.choice(("1s", "5s", "10m")),
        on_exit=random.choice(("remove", "remove", "keep")),
        drain_timeout=random.choice((PATIENT_DRAIN, PATIENT_DRAIN, "1s", "0s")),
        offers=random.random() < 0.25,
    )


def _times(random: Random, seconds: float, interval: float) -> list[float]:
    """Sorted random times within `seconds`: on average one every `interval`, and at least one."""
    return sorted(round(random.uniform(0.0, seconds), 2) for _ in range(max(1, round(seconds / interval))))


def _jobs(random: Random, seconds: float, scale_sets: Sequence[str]) -> Iterator[QueueJob]:
    times = _times(random, seconds, JOB_INTERVAL)
    for at in _times(random, seconds, BURST_INTERVAL):
        times += [at] * BURST_SIZE
    for number, at in enumerate(sorted(times), start=1):
        longest = LONG_JOB_SECONDS if random.random() < LONG_JOB_SHARE else SHORT_JOB_SECONDS
        yield QueueJob(at, number, random.choice(scale_sets), round(random.uniform(0.0, longest), 2))


def _kinds(random: Random, settings: RunSettings, *, comparable: bool) -> list[str]:
    fitting = {name: fault for name, fault in FAULTS.items() if not (comparable and fault.lossy)}
    slow = sorted(name for name, fault in fitting.items() if fault.slow)
    always = sorted(name for name, fault in fitting.items() if not fault.slow and not fault.offers)
    for_offers = [name for name, fault in fitting.items() if fault.offers and settings.offers]
    chosen = random.sample(slow, random.randint(0, SLOW_AT_MOST))
    return random.sample(always, FAULT_KINDS) + chosen + for_offers


def _faults(
    random: Random, seconds: float, scale_sets: Sequence[str], kinds: list[str]
) -> Iterator[BreakWire]:
    for at in _times(random, seconds, FAULT_INTERVAL):
        name = random.choice(kinds)
        fault = FAULTS[name]
        if fault.once:
            kinds.remove(name)
        params = tuple((key, random.choice(values)) for key, values in fault.choices.items())
        scale_set = random.choice(scale_sets) if fault.needs_scale_set else ""
        yield BreakWire(at, name, random.randint(1, fault.max_count), params, scale_set, fault.path)


def _ended_sessions(random: Random, seconds: float, scale_sets: Sequence[str]) -> Iterator[EndSession]:
    """At most one of them is stolen, because the client that stole it keeps it until it expires."""
    ways = ["expire", "expire-token", "steal"]
    for at in _times(random, seconds, SESSION_INTERVAL):
        how = random.choice(ways)
        if how == "steal":
            ways.remove(how)
        yield EndSession(at, random.choice(scale_sets), how)


def _killed_runners(random: Random, seconds: float) -> Iterator[KillRunner]:
    for at in _times(random, seconds, KILL_INTERVAL):
        yield KillRunner(at, random.random() < 0.5, random.random(), random.random() < 0.4)


def _paused_runners(random: Random, seconds: float) -> Iterator[Action]:
    for at in _times(random, seconds, PAUSE_INTERVAL):
        yield PauseRunner(at, random.random() < 0.5, random.random())
        yield ContinueRunners(round(at + random.uniform(0.5, PAUSE_SECONDS), 2))


def _daemon_restarts(random: Random, seconds: float) -> Iterator[Action]:
    """The daemon is started again before it is ended the next time."""
    up = 0.0
    for at in _times(random, seconds, DAEMON_INTERVAL):
        down = max(at, up)
        up = round(down + random.uniform(0.0, DAEMON_DOWN_SECONDS), 2)
        yield EndDaemon(down, random.choice(WAYS_TO_END))
        yield StartDaemon(up)


def _engine_faults(random: Random, seconds: float) -> Iterator[BreakEngine]:
    for at in _times(random, seconds, ENGINE_FAULT_INTERVAL):
        limit = random.choice(ENGINE_FAULTS)
        yield BreakEngine(
            at,
            limit.how,
            random.randint(1, limit.count) if limit.count else 0,
            round(limit.seconds * random.uniform(0.1, 1.0), 2),
            limit.what,
        )


def _engine_restarts(random: Random, seconds: float) -> Iterator[Action]:
    """The engine is started again before it is ended the next time.

    It does not end in the last fifth of the run, so that the daemon has time to recover.
    """
    up = 0.0
    for at in _times(random, seconds * 0.8, ENGINE_INTERVAL):
        down = max(at, up)
        up = round(down + random.uniform(5.0, 20.0), 2)
        yield EndEngine(down, random.random() < 0.5)
        yield StartEngine(up)
