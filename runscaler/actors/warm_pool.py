"""The warm pool: VMs that are booted ahead of demand, each in a VM slot of its own.

A part of `TartSlotActor`, used on that actor's thread only. `policy.vm_slots` decides what to boot and what
to remove; this part does it on workers, whose results come back as messages to the actor.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.actors import messages as m
from runscaler.backends.base import WarmResource
from runscaler.errors import VmLimitReached
from runscaler.interrupt import Interrupt
from runscaler.policy.backoff import Backoff
from runscaler.policy.vm_slots import Stage, WarmVm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runscaler.actors.workers import WorkerPool
    from runscaler.backends.base import Place, PlacedBackend
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.errors import RunscalerError

_BOOT_BACKOFF = Backoff(first=1.0, cap=60.0)
_REMOVAL_BACKOFF = Backoff(first=1.0, cap=30.0)


@dataclass(slots=True)
class _PooledVm:
    """`since` is when it entered its stage (monotonic); `warm` is None until it is ready."""

    place: Place
    kind: str
    since: float
    stage: Stage = Stage.BOOTING
    warm: WarmResource | None = None
    removal_failures: int = 0
    interrupt: Interrupt = field(default_factory=Interrupt)


class WarmPool:
    """`after` delivers a message to the actor in so many seconds."""

    def __init__(
        self,
        clock: Clock,
        after: Callable[[float, m.VmSlotMessage], None],
        backend: PlacedBackend,
        workers: WorkerPool,
    ) -> None:
        self._clock, self._after, self._backend, self._workers = clock, after, backend, workers
        self._vms: dict[int, _PooledVm] = {}
        """By VM slot."""
        self._boot_failures: Counter[str] = Counter()
        self._backing_off: dict[str, float] = {}

    # -- what the pool holds ------------------------------------------------------------------------

    def view(self) -> tuple[WarmVm, ...]:
        return tuple(WarmVm(slot, vm.kind, vm.stage, vm.since) for slot, vm in sorted(self._vms.items()))

    def places(self) -> list[Place]:
        return [vm.place for vm in self._vms.values()]

    def backing_off(self) -> dict[str, float]:
        """Kinds that failed to boot, with the time of the next attempt (monotonic)."""
        now = self._clock.monotonic()
        self._backing_off = {kind: until for kind, until in self._backing_off.items() if until > now}
        return self._backing_off

    def is_empty(self, *, except_ready: bool) -> bool:
        return all(except_ready and vm.stage is Stage.READY for vm in self._vms.values())

    # -- what the actor orders ----------------------------------------------------------------------

    def boot(self, settings: ScaleSetSettings, kind: str, place: Place) -> None:
        vm = _PooledVm(place, kind, self._clock.monotonic())
        self._vms[_vm_slot_of(place)] = vm
        self._workers.submit(
            lambda: self._backend.make_warm(settings, place, vm.interrupt),
            done=m.WarmVmReady,
            failed=lambda error: _boot_failed(place, kind, error),
        )

    def take(self, vm_slot: int) -> Place:
        """Hand the ready VM over to a runner: it leaves the pool."""
        vm = self._vms.pop(vm_slot)
        assert vm.warm is not None, "only a ready VM is granted"
        return replace(vm.place, warm=vm.warm.id)

    def remove_unused(self, granted: Place, kind: str) -> None:
        """Remove the warm VM that was granted with this place, if it is still there: no runner used it."""
        place, now = replace(granted, warm=""), self._clock.monotonic()
        warm = WarmResource(granted.warm, kind, place, ready_at=0.0)
        self._vms[_vm_slot_of(place)] = _PooledVm(place, kind, now, Stage.READY, warm)
        self.remove(_vm_slot_of(place), "the runner that it was granted to did not use it")

    def remove(self, vm_slot: int, why: str) -> None:
        """A boot that is still in progress is cut instead; nothing of the VM is left then."""
        vm = self._vms[vm_slot]
        logger.info("removing the warm VM in VM slot {}: {}", vm_slot, why)
        booting = vm.stage is Stage.BOOTING
        self._enter(vm, Stage.REMOVING)
        if booting:
            vm.interrupt.set()
        else:
            self._submit_removal(vm)

    def remove_all(self, *, except_ready: bool) -> None:
        for vm_slot, vm in list(self._vms.items()):
            if vm.stage is not Stage.REMOVING and not (except_ready and vm.stage is Stage.READY):
                self.remove(vm_slot, "the daemon is stopping")

    def cut(self) -> None:
        """Cut all boots and removals in progress."""
        for vm in self._vms.values():
            vm.interrupt.set()

    # -- what happened ------------------------------------------------------------------------------

    def adopt(self, found: Iterable[WarmResource]) -> None:
        """Take over the ready VMs that an earlier process left."""
        for warm in found:
            since = self._clock.monotonic() - max(0.0, self._clock.wall() - warm.ready_at)
            logger.info("took over the warm VM {} in VM slot {}", warm.id, warm.place.vm_slot)
            self._vms[_vm_slot_of(warm.place)] = _PooledVm(warm.place, warm.kind, since, Stage.READY, warm)

    def booted(self, warm: WarmResource) -> None:
        vm = self._vms.get(_vm_slot_of(warm.place))
        if vm is None:
            return
        vm.warm = warm
        self._boot_failures.pop(vm.kind, None)
        if vm.stage is Stage.REMOVING:  # the boot finished before it could be cut
            self._submit_removal(vm)
            return
        seconds = self._clock.monotonic() - vm.since
        logger.info("warm VM {} is ready in VM slot {} after {:.1f} s", warm.id, warm.place.vm_slot, seconds)
        self._enter(vm, Stage.READY)

    def boot_failed(self, failed: m.WarmBootFailed) -> None:
        """Nothing is left of the VM. Unless it was cut or the host was full, its kind backs off."""
        vm = self._vms.pop(_vm_slot_of(failed.place), None)
        self._backend.return_place(failed.place)
        if vm is None or vm.stage is Stage.REMOVING or failed.vm_limit_reached:
            return
        self._boot_failures[failed.kind] += 1
        wait = _BOOT_BACKOFF.delay(self._boot_failures[failed.kind])
        self._backing_off[failed.kind] = self._clock.monotonic() + wait
        logger.warning("a warm VM could not be booted: {}; next try in {:.0f} s", failed.reason, wait)

    def ended(self, resource_id: str) -> bool:
        """That VM ended by itself: remove what is left of it. False if it is not in the pool."""
        for vm_slot, vm in self._vms.items():
            if vm.warm is not None and vm.warm.id == resource_id:
                if vm.stage is Stage.READY:
                    self.remove(vm_slot, f"{resource_id} has ended by itself")
                return True
        return False

    def removed(self, place: Place) -> None:
        self._vms.pop(_vm_slot_of(place), None)
        self._backend.return_place(place)

    def removal_failed(self, failed: m.WarmRemovalFailed) -> None:
        vm_slot = _vm_slot_of(failed.place)
        vm = self._vms.get(vm_slot)
        if vm is None:
            return
        vm.removal_failures += 1
        if vm.removal_failures == 1:
            logger.warning("a warm VM is not removed yet, trying again: {}", failed.reason)
        self._after(_REMOVAL_BACKOFF.delay(vm.removal_failures), m.RetryWarmRemoval(vm_slot))

    def retry_removal(self, vm_slot: int) -> None:
        if (vm := self._vms.get(vm_slot)) is not None:
            self._submit_removal(vm)

    def _submit_removal(self, vm: _PooledVm) -> None:
        warm, interrupt = vm.warm, Interrupt()
        assert warm is not None, "a boot in progress is cut instead"
        vm.interrupt = interrupt
        self._workers.submit(
            lambda: self._backend.remove_warm(warm, interrupt),
            done=lambda _: m.WarmVmRemoved(vm.place),
            failed=lambda error: m.WarmRemovalFailed(vm.place, str(error)),
        )

    def _enter(self, vm: _PooledVm, stage: Stage) -> None:
        vm.stage, vm.since = stage, self._clock.monotonic()


def _vm_slot_of(place: Place) -> int:
    assert place.vm_slot is not None, "a warm VM has a VM slot"
    return place.vm_slot


def _boot_failed(place: Place, kind: str, error: RunscalerError) -> m.WarmBootFailed:
    return m.WarmBootFailed(place, kind, str(error), vm_limit_reached=isinstance(error, VmLimitReached))
