"""The warm VMs of the host: booted and cooled on workers, each in its VM slot. A part of the actor of
VM slots, used on its thread only; `policy.vm_slots` says what to boot and what to cool.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from loguru import logger

from runscaler.actors import messages as m
from runscaler.backends.base import WarmResource
from runscaler.errors import PlacesTaken
from runscaler.interrupt import Interrupt
from runscaler.policy.backoff import Backoff
from runscaler.policy.vm_slots import Pooled, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runscaler.actors.house import Jobs
    from runscaler.backends.base import Place, PlacedBackend
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.errors import RunscalerError

_FAILED = Backoff(first=1.0, cap=60.0)
_COOLING = Backoff(first=1.0, cap=30.0)


class Office(Protocol):
    @property
    def clock(self) -> Clock: ...
    def after(self, seconds: float, message: m.VmSlotMessage, /) -> None: ...


@dataclass(slots=True)
class _WarmVm:
    """`warm` once it is ready; `since` is when it began its stage (monotonic)."""

    place: Place
    kind: str
    since: float
    stage: Stage = Stage.BOOTING
    warm: WarmResource | None = None
    failures: int = 0
    interrupt: Interrupt = field(default_factory=Interrupt)


class WarmPool:
    """`freed` is called with each place that is not needed any more."""

    def __init__(
        self, office: Office, backend: PlacedBackend, jobs: Jobs, freed: Callable[[Place], None]
    ) -> None:
        self._office, self._backend, self._jobs, self._freed = office, backend, jobs, freed
        self._vms: dict[int, _WarmVm] = {}
        self._failures: Counter[str] = Counter()
        self._rests: dict[str, float] = {}

    # -- looking --------------------------------------------------------------------------------------

    def view(self) -> tuple[Pooled, ...]:
        return tuple(Pooled(at, one.kind, one.stage, one.since) for at, one in sorted(self._vms.items()))

    def places(self) -> list[Place]:
        return [one.place for one in self._vms.values()]

    def resting(self) -> dict[str, float]:
        """Kinds that are not booted before a time (monotonic), as booting them failed."""
        now = self._office.clock.monotonic()
        self._rests = {kind: until for kind, until in self._rests.items() if until > now}
        return self._rests

    def is_empty(self, *, but_ready: bool) -> bool:
        return all(but_ready and one.stage is Stage.READY for one in self._vms.values())

    # -- what the policy orders -----------------------------------------------------------------------

    def boot(self, settings: ScaleSetSettings, kind: str, place: Place) -> None:
        made = _WarmVm(place, kind, self._office.clock.monotonic())
        self._vms[_slot_of(place)] = made
        self._jobs.submit(
            lambda: self._backend.make_warm(settings, place, made.interrupt),
            done=m.WarmReady,
            failed=lambda error: _boot_failed(place, kind, error),
        )

    def take(self, vm_slot: int) -> Place:
        """The ready one there is a job's from now on."""
        taken = self._vms.pop(vm_slot)
        assert taken.warm is not None, "only ready ones are given"
        return replace(taken.place, warm=taken.warm.id)

    def take_back(self, given: Place, kind: str) -> None:
        """The job that it was given to did not come: it goes, if it is there still."""
        place, now = replace(given, warm=""), self._office.clock.monotonic()
        warm = WarmResource(given.warm, kind, place, ready_at=0.0)
        self._vms[_slot_of(place)] = _WarmVm(place, kind, now, Stage.READY, warm)
        self.cool(_slot_of(place), "the job that it was given to did not come")

    def cool(self, vm_slot: int, why: str) -> None:
        """Remove it; one that still boots is cut."""
        one = self._vms[vm_slot]
        logger.info("removing the warm VM in VM slot {}: {}", vm_slot, why)
        booting = one.stage is Stage.BOOTING
        self._enter(one, Stage.COOLING)
        if booting:
            one.interrupt.set()
        else:
            self._remove(one)

    def cool_all(self, *, but_ready: bool) -> None:
        for vm_slot, one in list(self._vms.items()):
            if one.stage is not Stage.COOLING and not (but_ready and one.stage is Stage.READY):
                self.cool(vm_slot, "the daemon stops")

    def cut(self) -> None:
        """Break off what is under way."""
        for one in self._vms.values():
            one.interrupt.set()

    # -- what came of it ------------------------------------------------------------------------------

    def found(self, warm_ones: Iterable[WarmResource]) -> None:
        """An earlier process left them."""
        clock = self._office.clock
        for warm in warm_ones:
            since = clock.monotonic() - max(0.0, clock.wall() - warm.ready_at)
            logger.info("took over the warm VM {} in VM slot {}", warm.id, warm.place.vm_slot)
            self._vms[_slot_of(warm.place)] = _WarmVm(warm.place, warm.kind, since, Stage.READY, warm)

    def ready(self, warm: WarmResource) -> None:
        one = self._vms.get(_slot_of(warm.place))
        if one is None:
            return
        one.warm = warm
        self._failures.pop(one.kind, None)
        if one.stage is Stage.COOLING:  # it was cut too late
            self._remove(one)
            return
        seconds = self._office.clock.monotonic() - one.since
        logger.info("warm VM {} is ready in VM slot {} after {:.1f} s", warm.id, warm.place.vm_slot, seconds)
        self._enter(one, Stage.READY)

    def failed(self, failed: m.WarmFailed) -> None:
        """Nothing of it is left."""
        one = self._vms.pop(_slot_of(failed.place), None)
        self._freed(failed.place)
        if one is None or one.stage is Stage.COOLING or failed.no_place:
            return
        self._failures[failed.kind] += 1
        wait = _FAILED.delay(self._failures[failed.kind])
        self._rests[failed.kind] = self._office.clock.monotonic() + wait
        logger.warning("no warm VM: {}; next try in {:.0f} s", failed.reason, wait)

    def ended(self, resource_id: str) -> bool:
        """It died by itself; False where it is none of the pool's."""
        for vm_slot, one in self._vms.items():
            if one.warm is not None and one.warm.id == resource_id:
                if one.stage is Stage.READY:
                    self.cool(vm_slot, f"{resource_id} has died")
                return True
        return False

    def cooled(self, place: Place) -> None:
        self._vms.pop(_slot_of(place), None)
        self._freed(place)

    def cooling_failed(self, failed: m.CoolingFailed) -> None:
        one = self._vms.get(_slot_of(failed.place))
        if one is None:
            return
        one.failures += 1
        if one.failures == 1:
            logger.warning("a warm VM is not removed yet, trying again: {}", failed.reason)
        self._office.after(_COOLING.delay(one.failures), m.CoolAgain(_slot_of(failed.place)))

    def cool_again(self, vm_slot: int) -> None:
        if (one := self._vms.get(vm_slot)) is not None:
            self._remove(one)

    def _remove(self, one: _WarmVm) -> None:
        warm, interrupt = one.warm, Interrupt()
        assert warm is not None, "what still boots is cut instead"
        one.interrupt = interrupt
        self._jobs.submit(
            lambda: self._backend.remove_warm(warm, interrupt),
            done=lambda _: m.Cooled(one.place),
            failed=lambda error: m.CoolingFailed(one.place, str(error)),
        )

    def _enter(self, one: _WarmVm, stage: Stage) -> None:
        one.stage, one.since = stage, self._office.clock.monotonic()


def _slot_of(place: Place) -> int:
    assert place.vm_slot is not None, "a warm VM has a VM slot"
    return place.vm_slot


def _boot_failed(place: Place, kind: str, error: RunscalerError) -> m.WarmFailed:
    return m.WarmFailed(place, kind, str(error), no_place=isinstance(error, PlacesTaken))
