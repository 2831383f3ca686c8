"""The host's VM slots, shared by all scale sets (docs/behaviour.md § 7.2; docs/tart.md § 11, 12).

`TartSlotActor` is a keeper that also grants VM slots and runs the warm pool. `policy.vm_slots` decides each
step, this actor takes it. Other programs and users may run VMs too, so the only way to know whether the host
has a free VM slot is to try to take one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.warm_pool import WarmPool
from runscaler.metrics import own
from runscaler.policy.backoff import Backoff
from runscaler.policy.vm_slots import (
    BootWarm,
    Claim,
    GrantFree,
    GrantWarm,
    RemoveWarm,
    Stage,
    View,
    next_expiry,
    next_step,
)

if TYPE_CHECKING:
    from runscaler.actors.context import ActorContext
    from runscaler.backends.base import Place, PlacedBackend
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import ScaleSetKey, SlotNumber
    from runscaler.policy.vm_slots import Step

HOLD_REPORT_SECONDS = 30.0
"""How long no VM slot is granted while a scale set has not reported those it already holds."""
STOP_SECONDS = 30.0
"""How long a stop waits for the removal of warm VMs."""
HOLDERS_SECONDS = 5.0
"""How often those who wait are told who holds the VM slots."""
_FULL_BACKOFF = Backoff(first=5.0, cap=60.0)
"""Between two attempts to take a VM slot while the host runs as many VMs as it may (docs/tart.md § 8)."""


class TartSlotActor(KeeperActor):
    """`sets` are all scale sets on this host's VMs; the smallest of their `max-vms` is the limit."""

    def __init__(
        self,
        name: str,
        parent: m.Ref,
        context: ActorContext,
        backend: PlacedBackend,
        sets: tuple[ScaleSetSettings, ...],
    ) -> None:
        super().__init__(name, parent, context, backend)
        self._placed, self._host_name = backend, context.host_name
        self._max_vms = min(one.tart.max_vms for one in sets)
        self._unreported = {one.key for one in sets}
        """Scale sets that have not reported which VM slots they hold."""
        self._claims: dict[tuple[ScaleSetKey, SlotNumber], m.ClaimVmSlot] = {}
        """Those that wait, oldest first."""
        self._held: dict[tuple[ScaleSetKey, SlotNumber], Place] = {}
        self._kinds: dict[ScaleSetKey, str] = {}
        """The kind of warm VM that each attached scale set can use."""
        self._image_ready: set[ScaleSetKey] = set()
        self._stopping_sets: set[ScaleSetKey] = set()
        self._shown_holders: dict[ScaleSetKey, str] = {}
        """What each waiting scale set was last told about who holds the VM slots."""
        self._full_attempts = 0
        self._full_until = 0.0
        self._next_look: float | None = None
        self._pool_known = False
        self._keeping = False
        """The daemon is stopping and keeps its ready warm VMs: nothing is granted or booted any more."""
        self._stop_order: m.StopKeeper | None = None
        self._pool_workers = context.make_worker_pool(f"{name} pool", self._max_vms + 1, self.tell_self)
        self._pool = WarmPool(self.clock, self.after, backend, self._pool_workers)

    def started(self) -> None:
        super().started()
        self._pool_workers.submit(
            self._placed.warm_resources,
            done=lambda found: m.WarmVmsFound(tuple(found)),
            failed=lambda error: m.WarmVmsFound((), str(error)),
        )
        self.after(HOLD_REPORT_SECONDS, m.HoldReportsOverdue())

    def clean_up(self) -> None:
        self._pool.cut()
        self._pool_workers.close()
        super().clean_up()

    # -- hooks of the keeper ------------------------------------------------------------------------

    def scale_set_joined(self, key: ScaleSetKey) -> None:
        """Drops the claims of the scale set's earlier actor, if there was one."""
        self._kinds[key] = self._placed.warm_kind(self.scale_sets[key].settings)
        self._stopping_sets.discard(key)
        self._shown_holders.pop(key, None)
        self._claims = {of: claim for of, claim in self._claims.items() if of[0] != key}

    def scale_set_changed(self, key: ScaleSetKey) -> None:
        """Until its image is prepared, no warm VM is booted for it."""
        kind = self._placed.warm_kind(self.scale_sets[key].settings)
        if kind != self._kinds.get(key):
            self._image_ready.discard(key)
        self._kinds[key] = kind
        self._max_vms = min(one.settings.tart.max_vms for one in self.scale_sets.values())
        self._take_steps()

    def image_prepared(self, key: ScaleSetKey) -> None:
        self._image_ready.add(key)
        self._kinds[key] = self._placed.warm_kind(self.scale_sets[key].settings)
        self._take_steps()

    def scale_set_left(self, key: ScaleSetKey, *, keep: bool) -> None:
        self._keeping = self._keeping or keep
        self._kinds.pop(key, None)
        self._image_ready.discard(key)
        self._stopping_sets.discard(key)
        self._unreported.discard(key)
        for of in self._held_by(key):
            self._placed.return_place(self._held.pop(of))
        self._take_steps()

    def resource_ended(self, ended: m.ResourceEnded) -> None:
        if not self._pool.ended(ended.resource_id):
            super().resource_ended(ended)
        self._full_until = 0.0
        self._take_steps()

    def stop_in_order(self, *, keep: bool) -> None:
        """Ends once the warm VMs are removed. `keep`: those that are ready stay."""
        self._stop_order = m.StopKeeper(keep)
        self._pool.remove_all(except_ready=keep)
        self.after(STOP_SECONDS, m.StopTimedOut())
        self._take_steps()

    # -- messages about VM slots --------------------------------------------------------------------

    def receive_vm_slot(self, message: m.VmSlotMessage) -> None:
        match message:
            case m.ClaimVmSlot(key, _, slot, _):
                self._claims[key, slot] = message
            case m.ReleaseVmSlot():
                self._release(message)
            case m.HoldVmSlots():
                self._hold(message)
            case m.StopWarming(key, keep):
                self._stopping_sets.add(key)
                self._keeping = self._keeping or keep
            case m.ResumeWarming(key):
                self._stopping_sets.discard(key)
            case m.HoldReportsOverdue():
                self._unreported.clear()
            case m.GrantingDue():
                self._next_look = None
            case m.StopTimedOut():
                self._leave_warm_vms_behind()
            case _:
                self._receive_warm_vm(message)
        self._take_steps()

    def _release(self, release: m.ReleaseVmSlot) -> None:
        of = release.key, release.slot
        self._claims.pop(of, None)
        place = self._held.pop(of, None)
        if place is not None:
            self._give_back(release.key, place, unused=release.unused)
            self._note_host_full(release.vm_limit_reached)

    def _hold(self, report: m.HoldVmSlots) -> None:
        """With a full report, what its earlier actor was granted and is not in the report is free again."""
        reported = {(report.key, slot): place for slot, place in report.held}
        if report.all_of_them:
            vm_slots = {place.vm_slot for place in reported.values()}
            for of in self._held_by(report.key):
                if (place := self._held.pop(of)).vm_slot not in vm_slots:
                    self._give_back(report.key, place, unused=True)
            self._unreported.discard(report.key)
        self._held.update(reported)

    def _held_by(self, key: ScaleSetKey) -> list[tuple[ScaleSetKey, SlotNumber]]:
        return [of for of in self._held if of[0] == key]

    def _give_back(self, key: ScaleSetKey, place: Place, *, unused: bool) -> None:
        """Return the place at once, or once the warm VM that was granted with it and not used is removed."""
        if place.warm and unused:
            self._pool.remove_unused(place, self._kinds.get(key, ""))
        else:
            self._placed.return_place(place)

    def _receive_warm_vm(
        self,
        message: m.WarmVmsFound
        | m.WarmVmReady
        | m.WarmBootFailed
        | m.WarmVmRemoved
        | m.WarmRemovalFailed
        | m.RetryWarmRemoval,
    ) -> None:
        match message:
            case m.WarmVmsFound(found, trouble):
                self._pool_known = True
                self._pool.adopt(found)
                if trouble:
                    logger.warning("the warm VMs of an earlier process cannot be listed: {}", trouble)
            case m.WarmVmReady(warm):
                self._full_attempts = 0
                self._pool.booted(warm)
            case m.WarmBootFailed():
                self._pool.boot_failed(message)
                self._note_host_full(message.vm_limit_reached)
            case m.WarmVmRemoved(place):
                self._pool.removed(place)
                self._note_host_full(False)
            case m.WarmRemovalFailed():
                self._pool.removal_failed(message)
            case m.RetryWarmRemoval(vm_slot):
                self._pool.retry_removal(vm_slot)
            case _:
                assert_never(message)

    # -- granting -----------------------------------------------------------------------------------

    def _take_steps(self) -> None:
        """Do all that can be done now, and plan another look if time alone may change that."""
        self._do_steps()
        self._publish_places()

    def _publish_places(self) -> None:
        """How the host's VM slots are used, as far as is known: only a refused claim tells of others' VMs."""
        pool = Counter(vm.stage for vm in self._pool.view())
        claimed = sum(bool(place.warm) for place in self._held.values())
        ours = len(self._held) + pool.total()
        rest = max(0, self._max_vms - ours)
        foreign = rest if self.clock.monotonic() < self._full_until else 0
        host = self._host_name
        self._metrics.publish(
            own.POOL_VMS,
            {
                (host, "booting"): pool[Stage.BOOTING],
                (host, "ready"): pool[Stage.READY],
                (host, "claimed"): claimed,
                (host, "failed"): len(self._pool.backing_off()),
            },
        )
        self._metrics.publish(
            own.VM_SLOTS,
            {(host, "free"): rest - foreign, (host, "ours"): ours, (host, "foreign"): foreign},
        )

    def _do_steps(self) -> None:
        if self._stop_order is not None:
            if self._pool.is_empty(except_ready=self._stop_order.keep):
                self.end(m.SharedStopped(self.name))
            return
        if not self._pool_known or self._unreported or self._keeping:
            return
        self._return_unknown_places()
        while (step := next_step(self._view())) is not None:
            self._take(step)
        self._tell_waiting_sets()
        self._plan_next_look()

    def _take(self, step: Step) -> None:
        match step:
            case GrantWarm(claim, vm_slot):
                self._grant(claim, self._pool.take(vm_slot))
            case GrantFree(claim):
                if (place := self._claim_place()) is not None:
                    self._grant(claim, place)
            case RemoveWarm(vm_slot, why):
                self._pool.remove(vm_slot, why)
            case BootWarm(kind):
                if (place := self._claim_place()) is not None:
                    self._pool.boot(self._settings_of(kind), kind, place)
            case _:
                assert_never(step)

    def _view(self) -> View:
        now = self.clock.monotonic()
        pool = self._pool.view()
        sizes = self._pool_sizes()
        image_ready = {self._kinds[key] for key in self._image_ready if key in self._kinds}
        return View(
            now,
            [Claim(key, slot, self._kinds[key]) for key, slot in self._claims if key in self._kinds],
            Counter(key for key, _ in self._held),
            pool,
            sizes,
            host_full=now < self._full_until or len(self._held) + len(pool) >= self._max_vms,
            not_bootable=frozenset({*self._pool.backing_off(), *(sizes.keys() - image_ready)}),
        )

    def _pool_sizes(self) -> Counter[str]:
        sizes: Counter[str] = Counter()
        staying = self._kinds.keys() - self._stopping_sets
        for key in staying:
            sizes[self._kinds[key]] += self.scale_sets[key].settings.tart.pool_size
        if staying - self._image_ready:  # their kind may still change: keep the warm VMs that are there
            sizes.update(Counter(vm.kind for vm in self._pool.view() if vm.kind not in sizes))
        return sizes

    def _claim_place(self) -> Place | None:
        """Never a place that is held: even if its VM has ended, its release is still to come."""
        place = self._placed.claim_place(self._max_vms, self._held_vm_slots())
        if place is None:
            self._note_host_full(True)
        return place

    def _grant(self, claim: Claim, place: Place) -> None:
        message = self._claims.pop((claim.key, claim.slot))
        self._held[claim.key, claim.slot] = place
        self.send(message.ref, m.ClaimGranted(message.slot, message.generation, place))

    def _settings_of(self, kind: str) -> ScaleSetSettings:
        """Of any scale set with that kind: what a warm VM depends on is the same for all of them."""
        key = next(key for key in self._image_ready if self._kinds.get(key) == kind)
        return self.scale_sets[key].settings

    def _return_unknown_places(self) -> None:
        """Return the places that an earlier actor claimed before it crashed and that nobody holds."""
        held = self._held_vm_slots()
        for place in self._placed.claimed_places():
            if place.vm_slot not in held:
                self._placed.return_place(place)

    def _held_vm_slots(self) -> set[int]:
        """The VM slots of runners and warm VMs, as far as this actor knows."""
        places = *self._held.values(), *self._pool.places()
        return {place.vm_slot for place in places if place.vm_slot is not None}

    # -- a full host --------------------------------------------------------------------------------

    def _note_host_full(self, full: bool) -> None:
        """Full: an attempt to run one more VM was refused. Not full: a VM ended, so a slot may be free."""
        self._full_attempts = self._full_attempts + 1 if full else 0
        wait = _FULL_BACKOFF.delay(self._full_attempts)
        self._full_until = self.clock.monotonic() + wait if full else 0.0

    def _tell_waiting_sets(self) -> None:
        """Tell the scale sets that wait who holds the VM slots; None tells one that it no longer waits."""
        waiting = {key for key, _ in self._claims if key in self.scale_sets}
        holders = dict.fromkeys(waiting, self._placed.place_holders() if waiting else "")
        for key in holders.keys() | self._shown_holders.keys():
            if holders.get(key) != self._shown_holders.get(key):
                self.notify(m.VmSlotsFull(holders.get(key)), key)
        self._shown_holders = holders

    def _plan_next_look(self) -> None:
        now = self.clock.monotonic()
        times = [*self._pool.backing_off().values()]
        if (expiry := next_expiry(self._pool.view())) is not None:
            times.append(expiry)
        if self._full_until > now:
            times.append(self._full_until)
        if self._shown_holders:
            times.append(now + HOLDERS_SECONDS)
        when = min(times, default=None)
        if when is not None and (self._next_look is None or when < self._next_look):
            self._next_look = when
            self.after(max(0.0, when - now), m.GrantingDue())

    def _leave_warm_vms_behind(self) -> None:
        logger.warning("warm VMs are not gone yet; the next start removes them")
        self.end(m.SharedStopped(self.name))
