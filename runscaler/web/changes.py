"""What differs between two snapshots, as JSON for clients that have the earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.web.health import overall_json, scale_set_json, slot_json

if TYPE_CHECKING:
    from runscaler.status import ScaleSetStatus, Status
    from runscaler.web.health import Json


def same_sets(before: Status, after: Status) -> bool:
    """Whether both list the same scale sets in the same order, so that `changes` can tell them apart."""
    old, new = before.scale_sets, after.scale_sets
    return len(old) == len(new) and all(a is b or a.key == b.key for a, b in zip(old, new, strict=True))


def changes(before: Status, after: Status, now: float) -> Json:
    """The body of `/healthz` with only the scale sets that changed. In each of them `slots` are those that
    changed, and `emptied` the numbers of those that are no longer in use. The sets must be the same.

    A scale set that has not changed is the same object in both, which makes this cheap.
    """
    pairs = zip(before.scale_sets, after.scale_sets, strict=True)
    return {
        **overall_json(after, now),
        "scale_sets": [_changed(old, new, now) for old, new in pairs if new is not old],
    }


def _changed(old: ScaleSetStatus, new: ScaleSetStatus, now: float) -> Json:
    were = {slot.slot: slot for slot in old.slots}
    changed = [slot for slot in new.slots if were.pop(slot.slot, None) != slot]
    return {
        **scale_set_json(new, now),
        "slots": [slot_json(slot, now) for slot in changed],
        "emptied": sorted(were),
    }
