"""The host's places, shared so that no scale set starves (docs/behaviour.md § 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

K = TypeVar("K")


def share(free: int, held: Mapping[K, int], waiting: Sequence[K]) -> tuple[int, ...]:
    """Which of `waiting` (in the order they asked, one entry a wish) get the `free` places.

    Each place goes to the set that holds the fewest; of equals, to the one that asked first.
    Returns indices into `waiting`, in the order of granting.
    """
    have = dict(held)
    queue = list(enumerate(waiting))
    granted: list[int] = []
    while queue and len(granted) < free:
        index, key = min(queue, key=lambda wish: (have.get(wish[1], 0), wish[0]))
        have[key] = have.get(key, 0) + 1
        granted.append(index)
        queue.remove((index, key))
    return tuple(granted)
