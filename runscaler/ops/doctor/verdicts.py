"""The decisions of `runner doctor`, without effects (docs/behaviour.md § 14.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from runscaler.backends.leftovers import Kind
from runscaler.ops.doctor.findings import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from runscaler.backends.leftovers import Leftover
    from runscaler.names import OwnerId

OUR_VOLUME = "runner-shared"
"""Shared by all daemons on an engine; any other volume that a survey lists is the Go tool's."""


class OwnerState(StrEnum):
    DEAD = "dead"
    LIVE = "live"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Owner:
    """`reason` says why it is held to be so."""

    id: OwnerId
    state: OwnerState
    reason: str
    state_dir: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    reason: str


def judge_resource(owner: Owner | None, named: Collection[OwnerId], *, go_lives: bool) -> Judgement:
    """A resource of this owner; None for one of the Go tool, which has no owners. `named` are those whose
    resources the user wants removed though nobody can tell whether they live."""
    if owner is None:
        return _judge_legacy(go_lives=go_lives)
    if owner.state is OwnerState.LIVE:
        return Judgement(Verdict.LIVE, owner.reason)
    if owner.state is OwnerState.UNKNOWN and owner.id not in named:
        return Judgement(Verdict.UNKNOWN, owner.reason)
    return Judgement(Verdict.ORPHAN, owner.reason)


def judge_job(orphan: Judgement, runs_a_job: bool | None, *, force: bool) -> Judgement:
    """What runs a job goes only by force, and so does what does not tell."""
    if runs_a_job is False or force:
        return orphan
    what = "it runs a job" if runs_a_job else "whether it runs a job cannot be told"
    return Judgement(Verdict.BUSY, what)


def judge_volume(
    volume: Leftover,
    gone: Collection[str],
    owners: Iterable[Owner],
    named: Collection[OwnerId],
    *,
    go_lives: bool,
) -> Judgement:
    """`gone` are the ids of containers that are removed, or would be. `owners` are those on the engine and
    all that are known on this host, as a living daemon need not have a container just now."""
    if any(user not in gone for user in volume.users):
        return Judgement(Verdict.LIVE, "a container uses it")
    if volume.name != OUR_VOLUME:
        return _judge_legacy(go_lives=go_lives)
    states = {one.state for one in owners if not (one.state is OwnerState.UNKNOWN and one.id in named)}
    if OwnerState.LIVE in states:
        return Judgement(Verdict.LIVE, "a daemon lives that may use it")
    if OwnerState.UNKNOWN in states:
        return Judgement(Verdict.UNKNOWN, "a daemon of which nobody can tell whether it lives may use it")
    return Judgement(Verdict.ORPHAN, "no container uses it, and no daemon lives")


def _judge_legacy(*, go_lives: bool) -> Judgement:
    if go_lives:
        return Judgement(Verdict.LIVE, "a daemon of the Go tool answers")
    return Judgement(Verdict.ORPHAN, "the Go tool made it, and no daemon of it answers")


def is_volume(leftover: Leftover) -> bool:
    return leftover.kind is Kind.VOLUME
