"""What the backend lists against what the scale set believes, and the way back after a crash.

`policy.inventory` compares; here each difference becomes an event for its slot. A part of the scale
set actor, used on its thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runscaler.actors import messages as m
from runscaler.names import SlotNumber
from runscaler.policy.inventory import Believed, Listed, reconcile
from runscaler.policy.lifecycle import SlotEvent, SlotState

if TYPE_CHECKING:
    from runscaler.actors.crew import Crew
    from runscaler.actors.house import House
    from runscaler.actors.places import Places
    from runscaler.actors.runners import Runners
    from runscaler.actors.slots import Slot
    from runscaler.backends.base import Resource
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import Generation, RunnerName


FIRST_SLOT = SlotNumber(0)
"""Whose actor pays the debts of a predecessor."""


class Office(Protocol):
    def ask_for_inventory(self) -> None: ...


class Stocktaking:
    def __init__(
        self,
        office: Office,
        house: House,
        settings: ScaleSetSettings,
        runners: Runners,
        crew: Crew,
        places: Places,
    ) -> None:
        self._state_store = house.state_store
        self._office, self._settings = office, settings
        self._runners, self._crew, self._places = runners, crew, places
        self._unclear: dict[SlotNumber, Generation] = {}
        self._owed: dict[SlotNumber, dict[RunnerName, int]] = {}
        self._looked_back = False

    def take(self, inventory: m.Inventory) -> None:
        by_id = {resource.id: resource for resource in inventory.resources}
        listed = [Listed(r.id, r.runner, r.slot, r.ending is None) for r in inventory.resources]
        believed = [_believed(slot) for slot in self._runners.book.used()]
        repairs = reconcile(
            inventory.as_of, listed, believed, self._settings.max_runners, self._still_unclear()
        )
        for one, number in repairs.adopt:
            self._adopt(by_id[one.resource_id], number, one.running)
        for number in repairs.ended:
            self._end(self._runners.book.slot(number), by_id)
        for one, number in repairs.found:
            self._find(self._runners.book.slot(number), by_id[one.resource_id])
        for number in repairs.lost:
            self._lose(self._runners.book.slot(number))
        self._runners.departures.forget_early()

    def look_back(self) -> None:
        """Once both are known, what runs and which scale set it is: registrations of a predecessor's whose
        resource is not there are removed."""
        if self._looked_back or not self._runners.scale_set_id:
            return
        self._looked_back = True
        for runner in self._state_store.noted_registrations(self._settings.key):
            if self._runners.book.of_runner(runner) is None:
                owed = m.DeregisterRunner(runner, 0, self._runners.scale_set_id)
                self._crew.tell_runner(FIRST_SLOT, owed)

    def owe(self, slot: SlotNumber, runner: RunnerName, runner_id: int) -> None:
        """The slot's actor owes GitHub a removal: remembered here, in case that it crashes."""
        self._owed.setdefault(slot, {})[runner] = runner_id

    def settled(self, slot: SlotNumber, runner: RunnerName) -> None:
        self._owed.get(slot, {}).pop(runner, None)

    def _still_unclear(self) -> list[SlotNumber]:
        """A slot in doubt is so for that one runner only."""
        book = self._runners.book
        return [slot for slot, generation in self._unclear.items() if book.of_generation(slot, generation)]

    def _adopt(self, resource: Resource, number: SlotNumber, running: bool) -> None:
        self._runners.adopt(resource, number, running)
        self._places.hold(self._runners.book.slot(number), self._runners.book)

    def _end(self, slot: Slot, by_id: dict[str, Resource]) -> None:
        if slot.resource is not None:
            seen = by_id.get(slot.resource.id)
            self._runners.departures.ended(slot.resource.id, None if seen is None else seen.ending)

    def _find(self, slot: Slot, resource: Resource) -> None:
        """A start whose actor crashed did succeed."""
        self._unclear.pop(slot.number, None)
        self._runners.book.give(slot, resource)
        self._hand_over(slot, resource)
        self._runners.happen(slot, SlotEvent.FOUND)

    def _lose(self, slot: Slot) -> None:
        """A start whose actor crashed has left nothing at the backend, but perhaps a registration."""
        self._unclear.pop(slot.number, None)
        if slot.runner is not None:
            owed = m.DeregisterRunner(slot.runner, slot.runner_id, self._runners.scale_set_id)
            self._crew.tell_runner(slot.number, owed)
        slot.failure = slot.failure or f"the start of {slot.runner} was lost when its actor crashed"
        self._runners.happen(slot, SlotEvent.GONE)

    def runner_back(self, slot: Slot) -> None:
        """The slot's actor is new: give it what its predecessor had, the resource, the order, the debts."""
        for runner, runner_id in self._owed.get(slot.number, {}).items():
            owed = m.DeregisterRunner(runner, runner_id, self._runners.scale_set_id)
            self._crew.tell_runner(slot.number, owed)
        if slot.resource is not None:
            self._hand_over(slot, slot.resource)
        elif slot.state not in (SlotState.EMPTY, SlotState.WAITING):
            self._unclear[slot.number] = slot.generation
            self._office.ask_for_inventory()

    def _hand_over(self, slot: Slot, resource: Resource) -> None:
        """To an actor that knows nothing: what lives in its slot, and the order that was not carried out."""
        self._crew.tell_runner(slot.number, m.AdoptRunner(slot.generation, resource))
        if slot.state is SlotState.RETIRING or _was_asked_about(slot):
            self._runners.order_retirement(slot)
        elif slot.state is SlotState.REMOVING:
            self._runners.order_removal(slot)


def _was_asked_about(slot: Slot) -> bool:
    """Its 10 s after JobCompleted are over, and the answer has not come."""
    return slot.state is SlotState.FINISHING and slot.deadline is None


def _believed(slot: Slot) -> Believed:
    resource = "" if slot.resource is None else slot.resource.id
    return Believed(slot.number, slot.state, slot.runner, resource, slot.changed_at)
