"""Ended runners that cannot be removed yet: they hold no slot, are tried again, and are shown until gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.slots import Slot
    from runscaler.names import Generation, SlotNumber


@dataclass(frozen=True, slots=True)
class Leftover:
    resource_id: str
    reason: str


class Leftovers:
    """By slot and generation: the actor of that slot goes on trying."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._left: dict[tuple[SlotNumber, Generation], Leftover] = {}

    def add(self, slot: Slot, reason: str) -> None:
        assert slot.resource is not None, "only what is there can be left"
        self._left[slot.number, slot.generation] = Leftover(slot.resource.id, reason)
        self._show()

    def removed(self, number: SlotNumber, generation: Generation) -> None:
        """Harmless for one that was never left."""
        if self._left.pop((number, generation), None) is not None:
            self._show()

    def listed(self, resource_ids: Container[str]) -> None:
        """The backend's list: what is not in it is gone."""
        for of, one in list(self._left.items()):
            if one.resource_id not in resource_ids:
                self.removed(*of)

    def forget_slot(self, number: SlotNumber) -> None:
        """Its actor crashed and tries no more: the next list finds the resources anew."""
        for of in [of for of in self._left if of[0] == number]:
            self.removed(*of)

    def all(self) -> tuple[tuple[SlotNumber, Generation], ...]:
        return tuple(self._left)

    def resource_ids(self) -> frozenset[str]:
        return frozenset(one.resource_id for one in self._left.values())

    def _show(self) -> None:
        latest = next(reversed(self._left.values()), None)
        self._conditions.leftovers(len(self._left), "" if latest is None else latest.reason)
