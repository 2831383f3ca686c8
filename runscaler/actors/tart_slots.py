"""The host's VM slots, shared by all scale sets (docs/behaviour.md § 7.2; docs/tart.md § 11, 12).

A keeper that does more: `policy.vm_slots` says who gets the next slot, here it is carried out. What
is free on the host is known by trying only, as other programs and users have VMs too.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.warm_pool import WarmPool
from runscaler.policy.backoff import Backoff
from runscaler.policy.vm_slots import Boot, Cool, GiveFree, GiveWarm, View, Wish, next_age, next_step

if TYPE_CHECKING:
    from runscaler.actors.house import House
    from runscaler.backends.base import Place, PlacedBackend
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import ScaleSetKey, SlotNumber
    from runscaler.policy.vm_slots import Step

UNHEARD_SECONDS = 30.0
"""How long no slot is handed out while scale sets have not said what they hold already."""
LEAVE_SECONDS = 30.0
"""How long a stop waits for warm VMs to be gone."""
HOLDERS_SECONDS = 5.0
"""Between two looks at who holds the slots, while somebody waits for one."""
_FULL = Backoff(first=5.0, cap=60.0)
"""Between two tries at a host that runs as many VMs as it may (docs/tart.md § 8)."""


class TartSlotActor(KeeperActor):
    """`sets` are all scale sets on this host's VMs; the smallest of their `max-vms` is its limit."""

    def __init__(
        self,
        name: str,
        parent: m.Ref,
        house: House,
        backend: PlacedBackend,
        sets: tuple[ScaleSetSettings, ...],
    ) -> None:
        super().__init__(name, parent, house, backend)
        self._placed = backend
        self._most = min(one.tart.max_vms for one in sets)
        self._unheard = {one.key for one in sets}
        self._claims: dict[tuple[ScaleSetKey, SlotNumber], m.ClaimVmSlot] = {}
        self._held: dict[tuple[ScaleSetKey, SlotNumber], Place] = {}
        self._kinds: dict[ScaleSetKey, str] = {}
        self._imaged: set[ScaleSetKey] = set()
        self._stopping: set[ScaleSetKey] = set()
        self._told: dict[ScaleSetKey, str] = {}
        self._tries = 0
        self._full_until = 0.0
        self._look_at: float | None = None
        self._looked = self._keeping = False
        self._leaving: m.StopKeeper | None = None
        self._jobs = house.workers(f"{name} pool", self._most + 1, self.hear)
        self._pool = WarmPool(self, backend, self._jobs, backend.return_place)

    def started(self) -> None:
        super().started()
        self._jobs.submit(
            self._placed.warm_resources,
            done=lambda found: m.WarmOnesFound(tuple(found)),
            failed=lambda error: m.WarmOnesFound((), str(error)),
        )
        self.after(UNHEARD_SECONDS, m.WaitForHolders())

    def released(self) -> None:
        self._pool.cut()
        self._jobs.close()
        super().released()

    # -- what every keeper does, and a little more --------------------------------------------------------

    def joined(self, key: ScaleSetKey) -> None:
        """A scale set, or its successor: what its predecessor waited for, nobody waits for."""
        self._kinds[key] = self._placed.warm_kind(self.tenants[key].settings)
        self._stopping.discard(key)
        self._told.pop(key, None)
        self._claims = {of: claim for of, claim in self._claims.items() if of[0] != key}

    def prepared(self, key: ScaleSetKey) -> None:
        self._imaged.add(key)
        self._kinds[key] = self._placed.warm_kind(self.tenants[key].settings)
        self._settle()

    def left(self, key: ScaleSetKey, *, keep: bool) -> None:
        """Its warm VMs go, or stay for the next start."""
        self._keeping = self._keeping or keep
        self._kinds.pop(key, None)
        self._imaged.discard(key)
        self._stopping.discard(key)
        self._unheard.discard(key)
        for of in self._held_by(key):
            self._placed.return_place(self._held.pop(of))
        self._settle()

    def ended(self, ended: m.ResourceEnded) -> None:
        if not self._pool.ended(ended.resource_id):
            super().ended(ended)
        self._full_until = 0.0
        self._settle()

    def leave(self, *, keep: bool) -> None:
        """Warm VMs go first, or stay for the next start."""
        self._leaving = m.StopKeeper(keep)
        self._pool.cool_all(but_ready=keep)
        self.after(LEAVE_SECONDS, m.LeaveOver())
        self._settle()

    # -- claims -------------------------------------------------------------------------------------------

    def hand_out(self, message: m.VmSlotMessage) -> None:
        match message:
            case m.ClaimVmSlot(key, _, slot, _):
                self._claims[key, slot] = message
            case m.ReturnVmSlot():
                self._return(message)
            case m.HoldVmSlots():
                self._hold(message)
            case m.WarmNoMore(key, keep):
                self._stopping.add(key)
                self._keeping = self._keeping or keep
            case m.WaitForHolders():
                self._unheard.clear()
            case m.LookForPlaces():
                self._look_at = None
            case m.LeaveOver():
                self._leave_behind()
            case _:
                self._pool_step(message)
        self._settle()

    def _return(self, returned: m.ReturnVmSlot) -> None:
        of = returned.key, returned.slot
        self._claims.pop(of, None)
        place = self._held.pop(of, None)
        if place is not None:
            self._free(returned.key, place, unused=returned.unused)
            self._now_or_later(full=returned.refused)

    def _hold(self, told: m.HoldVmSlots) -> None:
        """With all of them, what is not among them was granted to its predecessor and is free again."""
        new = {(told.key, slot): place for slot, place in told.held}
        if told.all_of_them:
            slots = {place.vm_slot for place in new.values()}
            for of in self._held_by(told.key):
                if (old := self._held.pop(of)).vm_slot not in slots:
                    self._free(told.key, old, unused=True)
            self._unheard.discard(told.key)
        self._held.update(new)

    def _held_by(self, key: ScaleSetKey) -> list[tuple[ScaleSetKey, SlotNumber]]:
        return [of for of in self._held if of[0] == key]

    def _free(self, key: ScaleSetKey, place: Place, *, unused: bool) -> None:
        """At once, or when the warm VM is gone that was given with it in vain."""
        if place.warm and unused:
            self._pool.take_back(place, self._kinds.get(key, ""))
        else:
            self._placed.return_place(place)

    def _pool_step(
        self,
        message: m.WarmOnesFound | m.WarmReady | m.WarmFailed | m.Cooled | m.CoolingFailed | m.CoolAgain,
    ) -> None:
        match message:
            case m.WarmOnesFound(found, trouble):
                self._looked = True
                self._pool.found(found)
                if trouble:
                    logger.warning("what is left of an earlier warm pool cannot be told: {}", trouble)
            case m.WarmReady(warm):
                self._tries = 0
                self._pool.ready(warm)
            case m.WarmFailed():
                self._pool.failed(message)
                self._now_or_later(full=message.no_place)
            case m.Cooled(place):
                self._pool.cooled(place)
                self._now_or_later(full=False)
            case m.CoolingFailed():
                self._pool.cooling_failed(message)
            case m.CoolAgain(vm_slot):
                self._pool.cool_again(vm_slot)
            case _:
                assert_never(message)

    # -- handing out ----------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Do all that can be done now; look again when time alone may change that."""
        if self._leaving is not None:
            if self._pool.is_empty(but_ready=self._leaving.keep):
                self.end(m.SharedStopped(self.name))
            return
        if not self._looked or self._unheard or self._keeping:
            return
        self._give_back_what_nobody_holds()
        while (step := next_step(self._view())) is not None:
            self._take(step)
        self._tell_who_waits()
        self._look_later()

    def _take(self, step: Step) -> None:
        match step:
            case GiveWarm(wish, vm_slot):
                self._grant(wish, self._pool.take(vm_slot))
            case GiveFree(wish):
                if (place := self._claim()) is not None:
                    self._grant(wish, place)
            case Cool(vm_slot, why):
                self._pool.cool(vm_slot, why)
            case Boot(kind):
                if (place := self._claim()) is not None:
                    self._pool.boot(self._settings_of(kind), kind, place)
            case _:
                assert_never(step)

    def _view(self) -> View:
        now = self.clock.monotonic()
        pool = self._pool.view()
        sizes: Counter[str] = Counter()
        staying = self._kinds.keys() - self._stopping
        for key in staying:
            sizes[self._kinds[key]] += self.tenants[key].settings.tart.pool_size
        if staying - self._imaged:  # what is wanted is not known for certain yet
            sizes.update(Counter(one.kind for one in pool if one.kind not in sizes))
        imaged = {self._kinds[key] for key in self._imaged if key in self._kinds}
        return View(
            now,
            [Wish(key, slot, self._kinds[key]) for key, slot in self._claims if key in self._kinds],
            Counter(key for key, _ in self._held),
            pool,
            sizes,
            full=now < self._full_until or len(self._held) + len(pool) >= self._most,
            resting=frozenset({*self._pool.resting(), *(kind for kind in sizes if kind not in imaged)}),
        )

    def _claim(self) -> Place | None:
        """Not one that is still in our books: its VM may have died, but its return would come yet."""
        place = self._placed.claim_place(self._most, self._booked())
        if place is None:
            self._now_or_later(full=True)
        return place

    def _grant(self, wish: Wish, place: Place) -> None:
        claim = self._claims.pop((wish.key, wish.slot))
        self._held[wish.key, wish.slot] = place
        self.send(claim.ref, m.PlaceGranted(claim.slot, claim.generation, place))

    def _settings_of(self, kind: str) -> ScaleSetSettings:
        """Of any scale set with that kind: they agree in all that matters for a warm VM."""
        key = next(key for key in self._imaged if self._kinds.get(key) == kind)
        return self.tenants[key].settings

    def _give_back_what_nobody_holds(self) -> None:
        """Claims of a predecessor that crashed."""
        booked = self._booked()
        for place in self._placed.claimed_places():
            if place.vm_slot not in booked:
                self._placed.return_place(place)

    def _booked(self) -> set[int]:
        """The VM slots that runners and warm VMs hold as far as we were told."""
        places = *self._held.values(), *self._pool.places()
        return {place.vm_slot for place in places if place.vm_slot is not None}

    # -- a host that is full --------------------------------------------------------------------------------

    def _now_or_later(self, *, full: bool) -> None:
        """Something ended: a slot may be free now. Or the host said that none is."""
        self._tries = self._tries + 1 if full else 0
        wait = _FULL.delay(self._tries) if full else 0.0
        self._full_until = self.clock.monotonic() + wait if full else 0.0

    def _tell_who_waits(self) -> None:
        """For whom; and who does not any more."""
        waiting = {key for key, _ in self._claims if key in self.tenants}
        now = dict.fromkeys(waiting, self._placed.place_holders() if waiting else "")
        for key in now.keys() | self._told.keys():
            if now.get(key) != self._told.get(key) and (tenant := self.tenants.get(key)):
                self.send(tenant.ref, m.PlacesFull(now.get(key)))
        self._told = now

    def _look_later(self) -> None:
        now = self.clock.monotonic()
        ages = next_age(self._pool.view())
        moments = [*self._pool.resting().values(), *([] if ages is None else [ages])]
        if self._full_until > now:
            moments.append(self._full_until)
        if self._told:
            moments.append(now + HOLDERS_SECONDS)
        when = min(moments, default=None)
        if when is not None and (self._look_at is None or when < self._look_at):
            self._look_at = when
            self.after(max(0.0, when - now), m.LookForPlaces())

    def _leave_behind(self) -> None:
        logger.warning("warm VMs are not gone yet; the next start removes them")
        self.end(m.SharedStopped(self.name))
