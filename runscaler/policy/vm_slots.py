"""Who gets the host's next VM slot, and what becomes of the warm pool (docs/tart.md § 11, 12).

Slots are few and shared by all scale sets. A job takes the oldest warm VM of its kind, else a free
slot, else it waits for one that boots for its kind; a warm VM of another kind gives way to it. What
is left over boots for the pool.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from runscaler.policy.fairness import share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runscaler.names import ScaleSetKey, SlotNumber

OLDEST_SECONDS = 12 * 3600.0
"""A warm VM is replaced at that age: clocks, certificates and leases grow old (docs/tart.md § 12)."""


class Stage(Enum):
    """Of a warm VM. Only `READY` ones can be given to a job."""

    BOOTING = auto()
    READY = auto()
    COOLING = auto()


@dataclass(frozen=True, slots=True)
class Pooled:
    """The warm VM in `vm_slot`; `since` is when it began its stage (monotonic)."""

    vm_slot: int
    kind: str
    stage: Stage
    since: float


@dataclass(frozen=True, slots=True)
class Wish:
    """A slot of a scale set that waits for a VM slot. `kind` of warm VM would do."""

    key: ScaleSetKey
    slot: SlotNumber
    kind: str


@dataclass(frozen=True, slots=True)
class GiveWarm:
    wish: Wish
    vm_slot: int


@dataclass(frozen=True, slots=True)
class GiveFree:
    """Claim a free VM slot of the host for it."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class Cool:
    """Remove a warm VM. `why` is for people."""

    vm_slot: int
    why: str


@dataclass(frozen=True, slots=True)
class Boot:
    """Claim a free VM slot and boot a warm VM of that kind in it."""

    kind: str


Step: TypeAlias = GiveWarm | GiveFree | Cool | Boot


@dataclass(frozen=True, slots=True)
class View:
    """`wishes` oldest first; `held` is how many VM slots each set's runners have; `pool_sizes` by kind;
    `full`: the host has no free slot, as was just tried."""

    now: float
    wishes: Sequence[Wish] = ()
    held: Mapping[ScaleSetKey, int] = field(default_factory=dict)
    pool: Sequence[Pooled] = ()
    pool_sizes: Mapping[str, int] = field(default_factory=dict)
    full: bool = False
    resting: frozenset[str] = frozenset()
    """Kinds that are not booted just now: their image is not there, or after failures."""


def next_step(view: View) -> Step | None:
    """The one thing to do now; to be asked again with what came of it until there is nothing."""
    return next(_steps(view), None)


def _steps(view: View) -> Iterator[Step]:
    yield from _given(view)
    yield from _made_room(view)
    yield from _replaced(view)
    yield from _booted(view)


def _given(view: View) -> Iterator[Step]:
    """In fair order: the set with the fewest first, then who has waited longest."""
    order = share(len(view.wishes), view.held, [wish.key for wish in view.wishes])
    for wish in (view.wishes[index] for index in order):
        ready = _oldest(view, Stage.READY, wish.kind)
        if ready is not None:
            yield GiveWarm(wish, ready.vm_slot)
        elif not view.full:
            yield GiveFree(wish)


def _made_room(view: View) -> Iterator[Step]:
    """Jobs that nothing boots for: as many warm VMs of other kinds give way."""
    booting = [one.kind for one in view.pool if one.stage is Stage.BOOTING]
    lacking = 0
    for wish in view.wishes:
        if wish.kind in booting:
            booting.remove(wish.kind)
        else:
            lacking += 1
    lacking -= sum(one.stage is Stage.COOLING for one in view.pool)
    wanted = {wish.kind for wish in view.wishes}
    spare = [one for one in view.pool if one.stage is not Stage.COOLING and one.kind not in wanted]
    if lacking > 0 and spare:
        newest = max(spare, key=lambda one: (one.stage is Stage.BOOTING, one.since))
        yield Cool(newest.vm_slot, "a job of another kind waits for its slot")


def _replaced(view: View) -> Iterator[Step]:
    for one in view.pool:
        if one.stage is Stage.COOLING:
            continue
        if _surplus(view, one.kind) > 0:
            yield Cool(one.vm_slot, "the pool has no use for it any more")
        elif one.stage is Stage.READY and view.now - one.since >= OLDEST_SECONDS:
            yield Cool(one.vm_slot, "it has grown old")


def _booted(view: View) -> Iterator[Step]:
    """Only with slots that no job waits for."""
    if view.full or view.wishes:
        return
    lacking = [kind for kind in view.pool_sizes if _surplus(view, kind) < 0 and kind not in view.resting]
    if lacking:
        yield Boot(min(lacking, key=lambda kind: len(_of_kind(view, kind))))


def next_age(pool: Sequence[Pooled]) -> float | None:
    """When the next ready one will have grown old (monotonic)."""
    return min((one.since + OLDEST_SECONDS for one in pool if one.stage is Stage.READY), default=None)


def _surplus(view: View, kind: str) -> int:
    return len(_of_kind(view, kind)) - view.pool_sizes.get(kind, 0)


def _of_kind(view: View, kind: str) -> list[Pooled]:
    return [one for one in view.pool if one.kind == kind and one.stage is not Stage.COOLING]


def _oldest(view: View, stage: Stage, kind: str) -> Pooled | None:
    found = [one for one in view.pool if one.stage is stage and one.kind == kind]
    return min(found, key=lambda one: one.since, default=None)
