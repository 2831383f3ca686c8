"""What a slot claims on the host before its runner starts, and releases when it is empty.

A VM slot where the host has few of them, then the host actor's leave where the host has a cap or a guard. The
scarcer comes first: a slot that waits for a VM must not hold a share that another scale set could use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.actors import messages as m
from runscaler.policy.lifecycle import SlotState

if TYPE_CHECKING:
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.backends.base import Place


class Claims:
    """`host` and `keeper` are None while they are down. `has_vm_slots`: the keeper hands out VM slots."""

    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        host: m.Ref | None,
        keeper: m.Ref | None,
        *,
        has_vm_slots: bool,
    ) -> None:
        self._context, self._book = context, book
        self._host, self._keeper = host, keeper
        self._has_vm_slots = has_vm_slots
        self._stop: m.StopWarming | None = None

    @property
    def _asks_host(self) -> bool:
        return self._context.actors.config.host.limits_starts

    def claim(self, slot: Slot) -> bool:
        """Claim what the slot lacks next; True where it lacks nothing."""
        if self._lacks_vm_slot(slot):
            self._claim(m.ClaimVmSlot, slot, self._keeper)
        elif self._asks_host:
            self._claim(m.ClaimCapacity, slot, self._host)
        else:
            return True
        return False

    def _claim(self, claim: type[m.ClaimVmSlot | m.ClaimCapacity], slot: Slot, holder: m.Ref | None) -> None:
        order = claim(self._context.key, self._context.ref, slot.number, slot.generation)
        self._context.send(holder, order)

    def granted(self, slot: Slot, place: Place) -> bool:
        """One claim of the slot is granted; True where it lacks nothing now."""
        if not self._lacks_vm_slot(slot):
            return place.vm_slot is None
        if place.vm_slot is None:
            return False
        self._book.grant(slot, place)
        return self.claim(slot)

    def release(self, slot: Slot) -> None:
        """Harmless where nothing was granted."""
        if self._asks_host:
            self._context.send(self._host, m.ReleaseCapacity(self._context.key, slot.number))
        if self._has_vm_slots:
            unused = slot.resource is None
            order = m.ReleaseVmSlot(
                self._context.key, slot.number, vm_limit_reached=slot.vm_limit_reached, unused=unused
            )
            self._context.send(self._keeper, order)

    def stop_warming(self, *, keep: bool) -> None:
        """The scale set is stopping: no new warm VMs for it; with `keep` those that are ready stay."""
        if self._has_vm_slots:
            self._stop = m.StopWarming(self._context.key, keep)
            self._context.send(self._keeper, self._stop)

    def resume_warming(self) -> None:
        """The opposite: it takes jobs again."""
        if self._has_vm_slots:
            self._stop = None
            self._context.send(self._keeper, m.ResumeWarming(self._context.key))

    # -- what is held already -----------------------------------------------------------------------

    def hold(self, slot: Slot) -> None:
        """An adopted runner holds what it was granted in an earlier life."""
        if self._asks_host:
            self._context.send(self._host, m.HoldCapacity(self._context.key, (slot.number,)))
        self._hold_vm_slots(all_of_them=False)

    def hold_all(self) -> None:
        """The backend's first list has come: report all that this scale set holds."""
        self._hold_capacity()
        self._hold_vm_slots()

    def host_replaced(self, host: m.Ref, *, is_listed: bool) -> None:
        """The new one knows nothing: report what is held, repeat what is claimed."""
        self._host = host
        if is_listed:
            self._hold_capacity()
        for slot in self._book.in_state(SlotState.WAITING):
            if not self._lacks_vm_slot(slot):
                self.claim(slot)

    def host_limits_changed(self, *, is_listed: bool) -> None:
        """It may have to be asked now, and had not: report what is held, repeat what is claimed."""
        if self._asks_host and self._host is not None:
            self.host_replaced(self._host, is_listed=is_listed)

    def keeper_replaced(self, keeper: m.Ref, *, is_listed: bool) -> None:
        """The same; to be called after joining it."""
        self._keeper = keeper
        if self._stop is not None:
            self._context.send(keeper, self._stop)
        if is_listed:
            self._hold_vm_slots()
        for slot in self._book.in_state(SlotState.WAITING):
            if self._lacks_vm_slot(slot):
                self.claim(slot)

    def _lacks_vm_slot(self, slot: Slot) -> bool:
        return self._has_vm_slots and slot.place.vm_slot is None

    def _hold_capacity(self) -> None:
        if self._asks_host:
            held = tuple(slot.number for slot in self._book.held() if slot.state is not SlotState.WAITING)
            order = m.HoldCapacity(self._context.key, held, all_of_them=True)
            self._context.send(self._host, order)

    def _hold_vm_slots(self, *, all_of_them: bool = True) -> None:
        if self._has_vm_slots:
            placed = (slot for slot in self._book.held() if slot.place.vm_slot is not None)
            held = tuple((slot.number, slot.place) for slot in placed)
            self._context.send(self._keeper, m.HoldVmSlots(self._context.key, held, all_of_them))
