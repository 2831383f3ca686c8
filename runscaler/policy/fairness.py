"""How free capacity is shared so that no scale set starves (docs/behaviour.md § 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

K = TypeVar("K")


def share(free: int, held: Mapping[K, int], waiting: Sequence[K]) -> tuple[int, ...]:
    """Choose which claims to grant when there is capacity for `free` more.

    `waiting` has one entry per claim, oldest first: the scale set that made it. `held` is how much each scale
    set holds already. Each grant goes to the scale set that then holds the least; among equals, to the oldest
    claim. Returns indices into `waiting`, in the order of granting.
    """
    have = dict(held)
    queue = list(enumerate(waiting))
    granted: list[int] = []
    while queue and len(granted) < free:
        index, key = min(queue, key=lambda claim: (have.get(claim[1], 0), claim[0]))
        have[key] = have.get(key, 0) + 1
        granted.append(index)
        queue.remove((index, key))
    return tuple(granted)
