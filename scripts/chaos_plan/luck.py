"""Make a plan of a seed: the same for the same seed, length, sets and ground. Pure.

Each kind of deed draws from its own stream of luck, so that a kind more or less leaves the others as
they were. A plan takes only some of the faults: fewer kinds, met more often, meet each other in more ways.
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
    Setting,
    StartDaemon,
    StartEngine,
)
from chaos_plan.wire_faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos_plan.plan import Deed


class GroundKind(StrEnum):
    """Where runners run. An engine of our own can also be restarted."""

    PROCESS = "process"
    DOCKER = "docker"
    OWN_ENGINE = "own-engine"


CALM = 0.25
"""The share of plans in which the daemon's counters can be compared."""
JOB_EVERY, BURST_EVERY = 1.0, 20.0
BURST = 8
LONGEST_JOB, LONGEST_LONG_JOB = 2.0, 10.0
LONG_JOBS = 0.08
FAULT_EVERY, SESSION_ENDS_EVERY = 2.0, 20.0
KINDS_OF_FAULTS = 16
RUNNER_DIES_EVERY, RUNNER_PAUSES_EVERY, LONGEST_PAUSE = 9.0, 15.0, 8.0
DAEMON_DIES_EVERY, LONGEST_AWAY = 15.0, 2.0
WAYS_TO_END = ("kill", "kill", "kill", "stop", "stop", "twice")
ENGINE_BREAKS_EVERY, ENGINE_DIES_EVERY = 10.0, 45.0
ENGINE_TROUBLES = (
    BreakEngine(0, "cut"),
    BreakEngine(0, "full", count=3, what="create"),
    BreakEngine(0, "full", count=2, what="start"),
    BreakEngine(0, "full", count=3, what="delete"),
    BreakEngine(0, "slow", count=20, seconds=1.0),
    BreakEngine(0, "hang", seconds=8.0),
    BreakEngine(0, "away", seconds=20.0),
)
"""The worst of each."""


def make_plan(
    seed: int, seconds: float, scale_sets: Sequence[str], ground: GroundKind = GroundKind.PROCESS
) -> Plan:
    """A stream of jobs for the sets, and everything that befalls them within `seconds`."""

    def luck(of: str) -> Random:
        return Random(f"{seed} {of}")

    calm = luck("calm").random() < CALM
    setting = _setting(luck("setting"), scale_sets)
    deeds: list[Deed] = [
        *_jobs(luck("jobs"), seconds, scale_sets),
        *_faults(luck("faults"), seconds, scale_sets, _kinds(luck("kinds"), setting, calm=calm)),
        *_ended_sessions(luck("sessions"), seconds, scale_sets),
        *_dead_runners(luck("runners"), seconds),
        *_paused_runners(luck("pauses"), seconds),
    ]
    if not calm:
        deeds += _dead_daemons(luck("daemons"), seconds)
    if ground is not GroundKind.PROCESS:
        deeds += _engine_troubles(luck("engine"), seconds)
    if ground is GroundKind.OWN_ENGINE:
        deeds += _dead_engines(luck("engines"), seconds)
    return Plan(seed, seconds, setting, tuple(sorted(deeds, key=lambda deed: deed.at)), comparable=calm)


def _setting(chance: Random, scale_sets: Sequence[str]) -> Setting:
    return Setting(
        min_runners={name: chance.choice((0, 1, 1, 2)) for name in scale_sets},
        idle_timeout=chance.choice(("1s", "5s", "10m")),
        on_exit=chance.choice(("remove", "remove", "keep")),
        drain_timeout=chance.choice((PATIENT_DRAIN, PATIENT_DRAIN, "1s", "0s")),
        offers=chance.random() < 0.25,
    )


def _times(chance: Random, seconds: float, every: float) -> list[float]:
    """Moments, one for each `every` seconds and at least one."""
    return sorted(round(chance.uniform(0.0, seconds), 2) for _ in range(max(1, round(seconds / every))))


def _jobs(chance: Random, seconds: float, scale_sets: Sequence[str]) -> Iterator[QueueJob]:
    moments = _times(chance, seconds, JOB_EVERY)
    for moment in _times(chance, seconds, BURST_EVERY):
        moments += [moment] * BURST
    for number, moment in enumerate(sorted(moments), start=1):
        longest = LONGEST_LONG_JOB if chance.random() < LONG_JOBS else LONGEST_JOB
        yield QueueJob(moment, number, chance.choice(scale_sets), round(chance.uniform(0.0, longest), 2))


def _kinds(chance: Random, setting: Setting, *, calm: bool) -> list[str]:
    fit = [name for name, fault in FAULTS.items() if not (calm and fault.lossy) and not fault.offers]
    about_offers = [name for name, fault in FAULTS.items() if fault.offers and setting.offers]
    return chance.sample(sorted(fit), KINDS_OF_FAULTS) + about_offers


def _faults(
    chance: Random, seconds: float, scale_sets: Sequence[str], kinds: list[str]
) -> Iterator[BreakWire]:
    for moment in _times(chance, seconds, FAULT_EVERY):
        name = chance.choice(kinds)
        fault = FAULTS[name]
        if fault.once:
            kinds.remove(name)
        params = tuple((key, chance.choice(values)) for key, values in fault.choices.items())
        whom = chance.choice(scale_sets) if fault.named else ""
        yield BreakWire(moment, name, chance.randint(1, fault.most), params, whom, fault.path)


def _ended_sessions(chance: Random, seconds: float, scale_sets: Sequence[str]) -> Iterator[EndSession]:
    """At most one is stolen: the thief holds it until it expires."""
    ways = ["expire", "expire-token", "steal"]
    for moment in _times(chance, seconds, SESSION_ENDS_EVERY):
        how = chance.choice(ways)
        if how == "steal":
            ways.remove(how)
        yield EndSession(moment, chance.choice(scale_sets), how)


def _dead_runners(chance: Random, seconds: float) -> Iterator[KillRunner]:
    for moment in _times(chance, seconds, RUNNER_DIES_EVERY):
        yield KillRunner(moment, chance.random() < 0.5, chance.random(), chance.random() < 0.4)


def _paused_runners(chance: Random, seconds: float) -> Iterator[Deed]:
    for moment in _times(chance, seconds, RUNNER_PAUSES_EVERY):
        yield PauseRunner(moment, chance.random() < 0.5, chance.random())
        yield ContinueRunners(round(moment + chance.uniform(0.5, LONGEST_PAUSE), 2))


def _dead_daemons(chance: Random, seconds: float) -> Iterator[Deed]:
    """Each is back before the next one may go."""
    back = 0.0
    for moment in _times(chance, seconds, DAEMON_DIES_EVERY):
        gone = max(moment, back)
        back = round(gone + chance.uniform(0.0, LONGEST_AWAY), 2)
        yield EndDaemon(gone, chance.choice(WAYS_TO_END))
        yield StartDaemon(back)


def _engine_troubles(chance: Random, seconds: float) -> Iterator[BreakEngine]:
    for moment in _times(chance, seconds, ENGINE_BREAKS_EVERY):
        worst = chance.choice(ENGINE_TROUBLES)
        yield BreakEngine(
            moment,
            worst.how,
            chance.randint(1, worst.count) if worst.count else 0,
            round(worst.seconds * chance.uniform(0.1, 1.0), 2),
            worst.what,
        )


def _dead_engines(chance: Random, seconds: float) -> Iterator[Deed]:
    """Each is back before the next one may go; the first is early enough for the daemon to go on after it."""
    back = 0.0
    for moment in _times(chance, seconds * 0.8, ENGINE_DIES_EVERY):
        gone = max(moment, back)
        back = round(gone + chance.uniform(5.0, 20.0), 2)
        yield EndEngine(gone, chance.random() < 0.5)
        yield StartEngine(back)
