"""What the backend lists against what the scale set believes (docs/behaviour.md § 6.5)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from runscaler.names import SlotNumber
from runscaler.policy.lifecycle import SlotState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runscaler.names import RunnerName


@dataclass(frozen=True, slots=True)
class Believed:
    """One slot as the scale set knows it. `changed_at` is monotonic seconds of its last change;
    `resource_id` is empty while it has none, `runner` None while it is empty."""

    slot: SlotNumber
    state: SlotState
    runner: RunnerName | None
    resource_id: str
    changed_at: float


@dataclass(frozen=True, slots=True)
class Listed:
    """One resource as the backend lists it."""

    resource_id: str
    runner: RunnerName
    slot: SlotNumber
    running: bool


@dataclass(frozen=True, slots=True)
class Repairs:
    """The differences; each becomes an event of its slot (`policy.lifecycle`).

    `adopt`: resources that no slot knows, each with the slot it goes to. `ended`: slots whose resource
    has ended or is not listed. `lost`: slots whose start had an unknown outcome and of which nothing is
    listed. `found`: such slots whose resource is listed after all.
    """

    adopt: tuple[tuple[Listed, SlotNumber], ...] = ()
    ended: tuple[SlotNumber, ...] = ()
    lost: tuple[SlotNumber, ...] = ()
    found: tuple[tuple[Listed, SlotNumber], ...] = ()


def reconcile(
    as_of: float,
    listed: Sequence[Listed],
    believed: Sequence[Believed],
    max_runners: int,
    unclear: Iterable[SlotNumber] = (),
) -> Repairs:
    """Compare what the backend lists with what the scale set believes.

    `as_of` (monotonic) is when the listing began. Slots that changed after it are left alone, and so are
    unknown resources with their number, which may have been removed since; hence `believed` also holds
    empty slots that were in use. `unclear` are slots whose actor died during a start: only a list tells
    what became of it.

    A resource whose slot is taken, or not below `max_runners`, goes to a surplus slot, numbered from
    `max_runners` up, which exists until it is empty. While a surplus slot has changed after `as_of`, nothing
    is adopted: the unknown resource may have been in it.
    """
    by_resource = {one.resource_id: one for one in listed}
    by_runner = {one.runner: one for one in listed}
    settled = [one for one in believed if one.changed_at < as_of]
    doubtful = set(unclear)
    ended = tuple(one.slot for one in settled if _has_ended(one, by_resource))
    unclear_slots = [one for one in settled if one.slot in doubtful]
    return Repairs(
        adopt=_places(_unknown(as_of, listed, believed, max_runners), believed, max_runners),
        ended=ended,
        lost=tuple(one.slot for one in unclear_slots if one.runner not in by_runner),
        found=tuple((by_runner[one.runner], one.slot) for one in unclear_slots if one.runner in by_runner),
    )


def _unknown(
    as_of: float, listed: Sequence[Listed], believed: Sequence[Believed], max_runners: int
) -> list[Listed]:
    if any(one.slot >= max_runners and one.changed_at >= as_of for one in believed):
        return []
    known = {one.resource_id for one in believed if one.resource_id}
    names = {one.runner for one in believed if one.runner}
    changed = {one.slot for one in believed if one.changed_at >= as_of}
    return [
        one
        for one in listed
        if one.resource_id not in known and one.runner not in names and one.slot not in changed
    ]


def _has_ended(one: Believed, by_resource: dict[str, Listed]) -> bool:
    if not one.resource_id or one.state is SlotState.REMOVING:
        return False
    seen = by_resource.get(one.resource_id)
    return seen is None or not seen.running


def _places(
    unknown: Sequence[Listed], believed: Sequence[Believed], max_runners: int
) -> tuple[tuple[Listed, SlotNumber], ...]:
    taken = {one.slot for one in believed if one.state is not SlotState.EMPTY}
    placed: list[tuple[Listed, SlotNumber]] = []
    for one in sorted(unknown, key=lambda one: (not one.running, one.slot, one.resource_id)):
        slot = one.slot if one.slot not in taken and one.slot < max_runners else _surplus(taken, max_runners)
        taken.add(slot)
        placed.append((one, slot))
    return tuple(placed)


def _surplus(taken: set[SlotNumber], max_runners: int) -> SlotNumber:
    return next(slot for slot in map(SlotNumber, count(max_runners)) if slot not in taken)
