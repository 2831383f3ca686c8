"""What the backend lists against what the scale set believes, and the way back after a crash.

`policy.inventory` compares; here each difference becomes an event of its slot.
"""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING

from runscaler.actors import messages as m
from runscaler.metrics.own import REPAIRS
from runscaler.metrics.words import Repair
from runscaler.names import SlotNumber
from runscaler.policy.anomalies import to_replace
from runscaler.policy.inventory import Believed, Listed, reconcile
from runscaler.policy.lifecycle import SlotEvent, SlotState
from runscaler.policy.schedule import largest_max

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runscaler.actors.scale_set.child_actors import ChildActors
    from runscaler.actors.scale_set.claims import Claims
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.leftovers import Leftovers
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.backends.base import Resource
    from runscaler.names import Generation, RunnerName

ON_THEIR_WAY = (SlotState.WAITING, SlotState.STARTING, SlotState.RETIRING, SlotState.REMOVING)
"""Slots whose runner goes, or does not serve yet."""
OUTDATED = "made with earlier settings"
FIRST_SLOT = SlotNumber(0)
"""Its actor removes the registrations that an earlier process left."""


class Reconciliation:
    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        runners: Runners,
        child_actors: ChildActors,
        claims: Claims,
        leftovers: Leftovers,
    ) -> None:
        self._context, self._book, self._runners = context, book, runners
        self._child_actors, self._claims, self._leftovers = child_actors, claims, leftovers
        self._unclear: dict[SlotNumber, Generation] = {}
        """Slots whose actor crashed while it started something."""
        self._pending: dict[SlotNumber, dict[RunnerName, int]] = {}
        """Registrations that a slot's actor is removing, by name with their id."""
        self._cleared_left_registrations = False

    def compare(self, inventory: m.Inventory, *, is_first: bool = False) -> None:
        """`is_first`: what is found was left by an earlier process, and nothing had to be put right."""
        by_id = {resource.id: resource for resource in inventory.resources}
        self._leftovers.listed(by_id)
        left = self._leftovers.resource_ids()
        resources = [one for one in inventory.resources if one.id not in left]
        listed = [Listed(r.id, r.runner, r.slot, r.ending is None) for r in resources]
        believed = [_believed(slot) for slot in self._book.used()]
        most = largest_max(self._context.settings)
        repairs = reconcile(inventory.as_of, listed, believed, most, self._still_unclear())
        if not is_first:
            self._count(Repair.ORPHAN, len(repairs.adopt))
        self._count(Repair.VANISHED, self._vanished(repairs.ended, by_id))
        self._count(Repair.STUCK_STARTING, len(repairs.found) + len(repairs.lost))
        for one, number in repairs.adopt:
            self._runners.adopt(by_id[one.resource_id], number, one.running)
            self._claims.hold(self._book.slot(number))
        for number in repairs.ended:
            self._end(self._book.slot(number), by_id)
        for one, number in repairs.found:
            self._unclear.pop(number, None)
            self._runners.start_found(self._book.slot(number), by_id[one.resource_id])
        for number in repairs.lost:
            self._unclear.pop(number, None)
            self._runners.start_lost(self._book.slot(number))
        self._runners.forget_early_ends()
        self._retire_unfit(resources)

    def _count(self, kind: Repair, count: int) -> None:
        if count:
            self._context.metrics.count(REPAIRS, kind, by=count)

    def _vanished(self, numbers: Iterable[SlotNumber], by_id: dict[str, Resource]) -> int:
        slots = map(self._book.slot, numbers)
        return sum(slot.resource is not None and slot.resource.id not in by_id for slot in slots)

    def _end(self, slot: Slot, by_id: dict[str, Resource]) -> None:
        if slot.resource is not None:
            seen = by_id.get(slot.resource.id)
            self._runners.resource_ended(slot.resource.id, None if seen is None else seen.ending)

    def _retire_unfit(self, resources: list[Resource]) -> None:
        """Idle runners on which a job would fail are replaced before they get one, all at once."""
        found = {
            slot.number: one for one in resources if (slot := self._book.of_resource(one.id)) is not None
        }
        idle = [slot for slot in self._idle() if slot.number in found]
        self._replace([(slot, found[slot.number].unfit) for slot in idle if found[slot.number].unfit])
        self.replace_outdated({number: one.outdated for number, one in found.items() if one.outdated})

    def replace_outdated(self, seen: Mapping[SlotNumber, str] = MappingProxyType({})) -> None:
        """Idle runners that were made with other settings, or of another image as the backend has `seen`, go
        a quarter at a time, as they can serve until others are up."""
        idle, newest = self._idle(), self._book.revision
        reasons = {slot: seen.get(slot.number) or OUTDATED * (slot.revision < newest) for slot in idle}
        outdated = [(slot, why) for slot, why in reasons.items() if why]
        on_their_way = len(self._book.in_state(*ON_THEIR_WAY))
        self._replace(outdated[: max(0, to_replace(len(idle) + on_their_way) - on_their_way)])

    def _idle(self) -> list[Slot]:
        return self._book.in_state(SlotState.IDLE, SlotState.ADOPTED)

    def _replace(self, runners: list[tuple[Slot, str]]) -> None:
        """Retire idle runners, each for its reason, which is said once for all of them."""
        for slot, why in runners:
            self._runners.apply(slot, SlotEvent.RETIRE, why)
        for why, count in Counter(why for _, why in runners).items():
            self._context.log.info("replacing idle runners ({}): {}", count, why)

    def _still_unclear(self) -> list[SlotNumber]:
        """A slot is unclear for the one runner only whose start crashed."""
        unclear = self._unclear.items()
        return [slot for slot, generation in unclear if self._book.of_generation(slot, generation)]

    # -- registrations --------------------------------------------------------------------------------

    def remove_left_registrations(self) -> None:
        """Once it is known what runs and which scale set it is: the registrations that an earlier process
        noted and whose resource is not there."""
        if self._cleared_left_registrations or not self._context.scale_set_id:
            return
        self._cleared_left_registrations = True
        for runner in self._context.actors.state_store.noted_registrations(self._context.key):
            if self._book.of_runner(runner) is None:
                self._count(Repair.STALE_REGISTRATION, 1)
                self._deregister(FIRST_SLOT, runner, 0)

    def deregistration_pending(self, slot: SlotNumber, runner: RunnerName, runner_id: int) -> None:
        """The slot's actor has a registration to remove: remembered here in case it crashes."""
        self._pending.setdefault(slot, {})[runner] = runner_id

    def deregistration_done(self, slot: SlotNumber, runner: RunnerName) -> None:
        self._pending.get(slot, {}).pop(runner, None)

    def _deregister(self, slot: SlotNumber, runner: RunnerName, runner_id: int) -> None:
        order = m.DeregisterRunner(runner, runner_id, self._context.scale_set_id)
        self._child_actors.tell_runner(slot, order)

    # -- a runner actor that is back ------------------------------------------------------------------

    def runner_actor_back(self, slot: Slot) -> bool:
        """Give the new actor what its predecessor had: registrations to remove, the resource, the order.
        True where only the backend's next list tells what became of the slot's start."""
        for runner, runner_id in self._pending.get(slot.number, {}).items():
            self._deregister(slot.number, runner, runner_id)
        if slot.resource is not None:
            self._runners.hand_over(slot, slot.resource)
        elif slot.state not in (SlotState.EMPTY, SlotState.WAITING):
            self._unclear[slot.number] = slot.generation
            return True
        return False


def _believed(slot: Slot) -> Believed:
    resource = "" if slot.resource is None else slot.resource.id
    return Believed(slot.number, slot.state, slot.runner, resource, slot.changed_at)
