"""Which scale set gets the host's next VM slot, and what happens to the warm pool (docs/tart.md § 11, 12).

VM slots are few and shared by all scale sets. A claim gets the oldest warm VM of its kind, else a free VM
slot, else it waits for a warm VM of its kind that is booting. A warm VM of another kind is removed to make
room for a claim. VM slots that no claim waits for are used to fill the pool.

The *kind* of a warm VM is what scale sets have to agree on to share it: image and size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from runscaler.policy.fairness import share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runscaler.names import ScaleSetKey, SlotNumber

MAX_AGE_SECONDS = 12 * 3600.0
"""A warm VM this old is replaced: its clock, certificates and lease go stale (docs/tart.md § 12)."""


class Stage(Enum):
    """Where a warm VM is in its life. Only a `READY` one can be granted."""

    BOOTING = auto()
    READY = auto()
    REMOVING = auto()


@dataclass(frozen=True, slots=True)
class WarmVm:
    """The warm VM in `vm_slot`; `since` is when it entered its stage (monotonic)."""

    vm_slot: int
    kind: str
    stage: Stage
    since: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot of a scale set waits for a VM slot, or for a warm VM of `kind`."""

    key: ScaleSetKey
    slot: SlotNumber
    kind: str


@dataclass(frozen=True, slots=True)
class GrantWarm:
    """Grant the claim the warm VM in `vm_slot`."""

    claim: Claim
    vm_slot: int


@dataclass(frozen=True, slots=True)
class GrantFree:
    """Take a free VM slot of the host and grant it to the claim."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class RemoveWarm:
    """Remove the warm VM in `vm_slot`; `why` is for the log."""

    vm_slot: int
    why: str


@dataclass(frozen=True, slots=True)
class BootWarm:
    """Take a free VM slot of the host and boot a warm VM of `kind` in it."""

    kind: str


Step: TypeAlias = GrantWarm | GrantFree | RemoveWarm | BootWarm


@dataclass(frozen=True, slots=True)
class View:
    """What is known at `now` (monotonic)."""

    now: float
    claims: Sequence[Claim] = ()
    """Those that wait, oldest first."""
    held: Mapping[ScaleSetKey, int] = field(default_factory=dict)
    """How many VM slots the runners of each scale set hold."""
    pool: Sequence[WarmVm] = ()
    pool_sizes: Mapping[str, int] = field(default_factory=dict)
    """How many warm VMs are wanted, by kind."""
    host_full: bool = False
    """The host has no free VM slot: the last attempt to take one failed."""
    not_bootable: frozenset[str] = frozenset()
    """Kinds that cannot be booted now: their image is missing, or they back off after a failure."""


def next_step(view: View) -> Step | None:
    """The next thing to do. To be called again with its outcome in the view, until the answer is None."""
    return next(_steps(view), None)


def _steps(view: View) -> Iterator[Step]:
    yield from _grant_claims(view)
    yield from _make_room(view)
    yield from _remove_unwanted(view)
    yield from _fill_pool(view)


def _grant_claims(view: View) -> Iterator[Step]:
    """The scale set that holds the fewest VM slots comes first, then the oldest claim."""
    order = share(len(view.claims), view.held, [claim.key for claim in view.claims])
    for claim in (view.claims[index] for index in order):
        ready = _oldest_ready(view, claim.kind)
        if ready is not None:
            yield GrantWarm(claim, ready.vm_slot)
        elif not view.host_full:
            yield GrantFree(claim)


def _make_room(view: View) -> Iterator[Step]:
    """Each claim that gets no VM slot otherwise has a warm VM of a kind that nobody waits for removed."""
    booting = [vm.kind for vm in view.pool if vm.stage is Stage.BOOTING]
    missing = 0
    for claim in view.claims:
        if claim.kind in booting:
            booting.remove(claim.kind)
        else:
            missing += 1
    missing -= sum(vm.stage is Stage.REMOVING for vm in view.pool)
    wanted = {claim.kind for claim in view.claims}
    spare = [vm for vm in view.pool if vm.stage is not Stage.REMOVING and vm.kind not in wanted]
    if missing > 0 and spare:
        newest = max(spare, key=lambda vm: (vm.stage is Stage.BOOTING, vm.since))
        yield RemoveWarm(newest.vm_slot, "a job needs its VM slot for another kind of VM")


def _remove_unwanted(view: View) -> Iterator[Step]:
    for vm in view.pool:
        if vm.stage is Stage.REMOVING:
            continue
        if _surplus(view, vm.kind) > 0:
            yield RemoveWarm(vm.vm_slot, "the pool is larger than configured")
        elif vm.stage is Stage.READY and view.now - vm.since >= MAX_AGE_SECONDS:
            yield RemoveWarm(vm.vm_slot, "it has reached its maximum age")


def _fill_pool(view: View) -> Iterator[Step]:
    """With free VM slots that no claim has taken before."""
    if view.host_full:
        return
    missing = [kind for kind in view.pool_sizes if _surplus(view, kind) < 0 and kind not in view.not_bootable]
    if missing:
        yield BootWarm(min(missing, key=lambda kind: len(_staying(view, kind))))


def next_expiry(pool: Sequence[WarmVm]) -> float | None:
    """When the next ready warm VM reaches its maximum age (monotonic)."""
    return min((vm.since + MAX_AGE_SECONDS for vm in pool if vm.stage is Stage.READY), default=None)


def _surplus(view: View, kind: str) -> int:
    return len(_staying(view, kind)) - view.pool_sizes.get(kind, 0)


def _staying(view: View, kind: str) -> list[WarmVm]:
    return [vm for vm in view.pool if vm.kind == kind and vm.stage is not Stage.REMOVING]


def _oldest_ready(view: View, kind: str) -> WarmVm | None:
    ready = [vm for vm in view.pool if vm.stage is Stage.READY and vm.kind == kind]
    return min(ready, key=lambda vm: vm.since, default=None)
