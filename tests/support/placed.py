"""A backend in memory whose host has few VM slots: what `TartSlotActor` is played against."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runscaler.backends.base import Place, Resource, ResourceEnded, WarmResource
from runscaler.backends.memory import MemoryBackend
from runscaler.backends.tart.vm_slots import mac_of
from runscaler.errors import BackendError, VmLimitReached

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from runscaler.backends.base import Observation, RunnerOrder
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt


class PlacedMemoryBackend(MemoryBackend):
    """`foreign` VMs take slots, too; `refusing`: the kernel will not run another VM. What lives in a slot
    holds it by itself: `claims` are those in which nothing lives yet."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.foreign = 0
        self.refusing = 0
        self.claims: dict[int, Place] = {}
        self.pooled: dict[str, WarmResource] = {}
        self.used_warm: list[str] = []
        self.cooled: list[str] = []
        self.most_at_once = 0
        self.made = 0
        self._report: Callable[[Observation], None] | None = None

    # -- the host ---------------------------------------------------------------------------------------

    def living(self) -> dict[int, str]:
        """Who lives in which VM slot."""
        lives = [*(one for one in self.inventory() if one.ending is None), *self.pooled.values()]
        return {one.place.vm_slot: one.id for one in lives if one.place.vm_slot is not None}

    def die(self, warm_id: str) -> None:
        """A warm VM dies by itself."""
        del self.pooled[warm_id]
        if self._report is not None:
            self._report(ResourceEnded(warm_id, None))

    # -- `PlacedBackend` --------------------------------------------------------------------------------

    def warm_kind(self, settings: ScaleSetSettings) -> str:
        return settings.runner_image

    def claim_place(self, most: int, but: Collection[int] = ()) -> Place | None:
        taken = self.claims.keys() | self.living().keys() | set(but)
        if len(taken) + self.foreign >= most:
            return None
        vm_slot = min(set(range(most)) - taken)
        self.claims[vm_slot] = Place(vm_slot, mac_of(vm_slot))
        return self.claims[vm_slot]

    def return_place(self, place: Place) -> None:
        if place.vm_slot is not None:
            self.claims.pop(place.vm_slot, None)

    def claimed_places(self) -> list[Place]:
        return list(self.claims.values())

    def place_holders(self) -> str:
        return ", ".join([*self.living().values(), *["a stranger (not ours)"] * self.foreign])

    def make_warm(self, settings: ScaleSetSettings, place: Place, interrupt: Interrupt) -> WarmResource:
        self._enter("start", interrupt)
        self._admit()
        self.made += 1
        made = WarmResource(f"pool-{self.made:08x}", settings.runner_image, place, self._clock.wall())
        self.pooled[made.id] = made
        self.return_place(place)
        self._note()
        return made

    def warm_resources(self) -> list[WarmResource]:
        return list(self.pooled.values())

    def remove_warm(self, warm: WarmResource, interrupt: Interrupt) -> None:
        self._enter("remove", interrupt)
        self.pooled.pop(warm.id, None)
        self.cooled.append(warm.id)

    # -- `Backend` --------------------------------------------------------------------------------------

    def watch(self, since: float, report: Callable[[Observation], None]) -> Any:
        self._report = report
        return super().watch(since, report)

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        if not order.place.warm and order.place.vm_slot not in self.claims:
            raise BackendError(f"{order.runner} was started without a VM slot of its own")
        if order.place.warm:
            del self.pooled[order.place.warm]
            self.used_warm.append(order.place.warm)
        else:
            self._admit()
        resource = super().start(order, interrupt)
        self.return_place(order.place)
        self._note()
        return resource

    def _admit(self) -> None:
        if self.refusing:
            self.refusing -= 1
            raise VmLimitReached("the host runs as many VMs as it may")

    def _resource(self, order: RunnerOrder, runner_id: int) -> Resource:
        return replace(super()._resource(order, runner_id), place=replace(order.place, warm=""))

    def _note(self) -> None:
        self.most_at_once = max(self.most_at_once, len(self.living()) + self.foreign)
