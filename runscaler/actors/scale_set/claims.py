"""What a slot needs beyond itself, claimed and given back: a VM slot where the backend's host has few of
them, then a place under the host's cap. The scarcer first: who waits for a VM slot must not hold a place
that another scale set could use. A part of the scale set actor, used on its thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runscaler.actors import messages as m
from runscaler.policy.lifecycle import SlotState

if TYPE_CHECKING:
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.backends.base import Place
    from runscaler.names import ScaleSetKey


class Office(Protocol):
    @property
    def actor_ref(self) -> m.Ref: ...
    def send(self, ref: m.Ref | None, message: object) -> None: ...


class Places:
    """`host` and `keeper` are None while they are down; `has_vm_slots`: the keeper hands out such."""

    def __init__(
        self,
        office: Office,
        key: ScaleSetKey,
        host: m.Ref | None,
        keeper: m.Ref | None,
        *,
        has_vm_slots: bool,
    ) -> None:
        self._office, self._key = office, key
        self._host, self._keeper = host, keeper
        self.has_vm_slots = has_vm_slots
        self._stop: m.StopWarming | None = None

    def claim(self, slot: Slot) -> None:
        """What it lacks next."""
        lacks_vm_slot = self._lacks_vm_slot(slot)
        claim, to = (m.ClaimVmSlot, self._keeper) if lacks_vm_slot else (m.ClaimCapacity, self._host)
        self._office.send(to, claim(self._key, self._office.actor_ref, slot.number, slot.generation))

    def granted(self, slot: Slot, place: Place) -> bool:
        """One place is there; False while another is still to come."""
        if self._lacks_vm_slot(slot):
            if place.vm_slot is not None:
                slot.place = place
                self.claim(slot)
            return False
        return place.vm_slot is None

    def _lacks_vm_slot(self, slot: Slot) -> bool:
        return self.has_vm_slots and slot.place.vm_slot is None

    def give_back(self, slot: Slot) -> None:
        """Harmless for what was never granted."""
        self._office.send(self._host, m.ReleaseCapacity(self._key, slot.number))
        if self.has_vm_slots:
            unused = slot.resource is None
            order = m.ReleaseVmSlot(
                self._key, slot.number, vm_limit_reached=slot.vm_limit_reached, unused=unused
            )
            self._office.send(self._keeper, order)

    def stop_warming(self, *, keep: bool) -> None:
        """The scale set is stopping."""
        if self.has_vm_slots:
            self._stop = m.StopWarming(self._key, keep)
            self._office.send(self._keeper, self._stop)

    def hold(self, slot: Slot, book: SlotBook) -> None:
        """A runner was taken over."""
        self._office.send(self._host, m.HoldCapacity(self._key, (slot.number,)))
        self._hold_vm_slots(book, all_of_them=False)

    def hold_all(self, book: SlotBook) -> None:
        """What there is, is known for the first time."""
        self._hold_under_cap(book)
        self._hold_vm_slots(book)

    def meet_host(self, host: m.Ref, book: SlotBook, *, is_listed: bool) -> None:
        """It is new and knows nothing: what is held, and what is still waited for."""
        self._host = host
        if is_listed:
            self._hold_under_cap(book)
        for slot in book.in_state(SlotState.WAITING):
            if not self._lacks_vm_slot(slot):
                self.claim(slot)

    def meet_keeper(self, keeper: m.Ref, book: SlotBook, *, is_listed: bool) -> None:
        """To be called after joining it."""
        self._keeper = keeper
        if self._stop is not None:
            self._office.send(keeper, self._stop)
        if is_listed:
            self._hold_vm_slots(book)
        for slot in book.in_state(SlotState.WAITING):
            if self._lacks_vm_slot(slot):
                self.claim(slot)

    def _hold_under_cap(self, book: SlotBook) -> None:
        held = tuple(slot.number for slot in book.held() if slot.state is not SlotState.WAITING)
        self._office.send(self._host, m.HoldCapacity(self._key, held, all_of_them=True))

    def _hold_vm_slots(self, book: SlotBook, *, all_of_them: bool = True) -> None:
        if self.has_vm_slots:
            held = tuple((slot.number, slot.place) for slot in book.held() if slot.place.vm_slot is not None)
            self._office.send(self._keeper, m.HoldVmSlots(self._key, held, all_of_them))
