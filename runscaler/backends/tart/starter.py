"""Starting runners: in a VM that waits, or in one made for it; and making VMs that wait."""

from __future__ import annotations

import math
import secrets
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.base import Place
from runscaler.backends.tart.boot import VmBoot, fresh_name, places_taken
from runscaler.backends.tart.images import fqn
from runscaler.backends.tart.output_errors import as_start_error, file_error
from runscaler.backends.tart.record import Phase, VmRecord
from runscaler.errors import BackendError, StartFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import Resource, RunnerOrder, Warm
    from runscaler.backends.tart.host import TartHost
    from runscaler.backends.tart.vm_monitor import VmMonitor
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import JitConfig
    from runscaler.interrupt import Interrupt


class VmStarter:
    """Thread-safe. A VM is not listed, nor watched, until its start is complete."""

    def __init__(self, host: TartHost, monitor: VmMonitor) -> None:
        self._host = host
        self._monitor = monitor

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        """See `Backend.start`. A waiting VM is used up whatever comes of it."""
        bound = {"scale_set": order.settings.name, "slot": order.slot, "runner": order.runner}
        with logger.contextualize(**bound), ExitStack() as held:
            with ExitStack() as undo, _typed():
                start = _Start(self._host, order, interrupt, held, undo)
                self._monitor.leave(order.place.warm)
                record = start.run()
                undo.pop_all()
            self._complete(record)
        return record.resource(None)

    def warm(self, settings: ScaleSetSettings, place: Place, interrupt: Interrupt) -> Warm:
        """See `PlacedBackend.warm`."""
        interrupt.wait(0)
        tart = self._host.tart_of(settings)
        name = fresh_name(tart, f"pool-{secrets.token_hex(4)}")
        with ExitStack() as held:
            held.enter_context(self._host.inventory.starting(name))
            with ExitStack() as undo, _typed():
                if not self._host.places.claim_again(place, settings.tart.max_vms):
                    raise places_taken(self._host.places)
                record = new_record(self._host, settings, name, place)
                undo.callback(self._host.discard, record)
                record = boot(self._host, settings, interrupt, math.inf, record)
                record = record.with_phase(Phase.POOLED, ready_at=self._host.clock.wall())
                _note(self._host, record)
                undo.pop_all()
            self._complete(record)
        return record.warm()

    def _complete(self, record: VmRecord) -> None:
        """The VM's process holds its place by itself from now on."""
        self._host.places.give_back(record.place)
        self._monitor.follow(record, self._host.tart_at(record))


class _Start:
    """One start. `undo` is what a failure takes back, `held` what lasts until the end either way."""

    def __init__(
        self, host: TartHost, order: RunnerOrder, interrupt: Interrupt, held: ExitStack, undo: ExitStack
    ) -> None:
        self._host, self._order, self._interrupt = host, order, interrupt
        self._held, self._undo = held, undo

    def run(self) -> VmRecord:
        waiting = self._waiting_vm()
        self._go_on()
        record = waiting or self._booted()
        jit = self._order.jit()
        self._go_on()
        if waiting is not None and not self._host.vm_of(waiting).pid():
            self._give_up(waiting)
            record = self._booted()
        return self._injected(record, jit)

    def _waiting_vm(self) -> VmRecord | None:
        """The one the order names, if it still lives."""
        name = self._order.place.warm
        record = self._host.inventory.find(name) if name else None
        if record is None:
            return None
        self._held.enter_context(self._host.inventory.starting(name))
        if record.phase is Phase.POOLED and self._host.vm_of(record).pid():
            self._undo.callback(self._host.discard, record)
            return record
        self._give_up(record)
        return None

    def _give_up(self, waiting: VmRecord) -> None:
        logger.info("waiting VM {} ended before its runner came: making another", waiting.name)
        self._host.discard(waiting)

    def _booted(self) -> VmRecord:
        host, order = self._host, self._order
        place, tart = self._claimed(), host.tart_of(order.settings)
        name = fresh_name(tart, order.runner)
        self._held.enter_context(host.inventory.starting(name))
        record = self._for_the_runner(new_record(host, order.settings, name, place))
        self._undo.callback(host.discard, record)
        return boot(host, order.settings, self._interrupt, order.deadline, record)

    def _claimed(self) -> Place:
        """The order's own place, or the lowest free one; a claim made here is not kept by a failure."""
        places, wanted, most = self._host.places, self._order.place, self._order.settings.tart.max_vms
        place: Place | None = Place(wanted.vm_slot, wanted.mac)
        if wanted.vm_slot is None:
            place = places.claim(most)
        elif places.has(wanted):
            return Place(wanted.vm_slot, wanted.mac)
        elif not places.claim_again(wanted, most):
            place = None
        if place is None:
            raise places_taken(places)
        self._undo.callback(places.give_back, place)
        return place

    def _injected(self, record: VmRecord, jit: JitConfig) -> VmRecord:
        """At most once a VM: after a failure nobody knows whether the runner runs."""
        host, settings = self._host, self._order.settings
        record = self._for_the_runner(record).with_phase(Phase.INJECTING, runner_id=jit.runner_id)
        _note(host, record)
        began = host.clock.monotonic()
        guest = host.guest_of(record)
        pid = guest.start_runner(settings.tart.runner_dir, jit.encoded, self._interrupt)
        record = record.with_phase(Phase.RUNNING, guest_pid=pid)
        _note(host, record)
        logger.debug("the runner in VM {} started in {:.3f} s", record.name, host.clock.monotonic() - began)
        return record

    def _for_the_runner(self, record: VmRecord) -> VmRecord:
        key = self._order.key
        known = {"url": key.url, "group": key.group, "scale_set": key.name}
        return record.model_copy(
            update={**known, "slot": self._order.slot, "runner_name": self._order.runner}
        )

    def _go_on(self) -> None:
        self._interrupt.wait(0)
        if self._host.clock.monotonic() >= self._order.deadline:
            raise StartFailed(f"{self._order.runner} did not run in time: its start-timeout has passed")


def kind_of(host: TartHost, settings: ScaleSetSettings) -> str:
    """What VMs must agree in to be of use for the same runners; a moved tag makes another kind."""
    tart = host.tart_of(settings)
    image = fqn(tart.home, settings.runner_image) or settings.runner_image
    return f"{image} in {tart.home}, cpu {settings.tart.cpu}, memory {settings.tart.memory}"


def new_record(host: TartHost, settings: ScaleSetSettings, name: str, place: Place) -> VmRecord:
    return VmRecord(
        owner=host.owner,
        home=str(host.tart_of(settings).home),
        name=name,
        host_slot=place.vm_slot,
        mac=place.mac,
        image=settings.runner_image,
        kind=kind_of(host, settings),
        created=host.clock.wall(),
    )


def boot(
    host: TartHost, settings: ScaleSetSettings, interrupt: Interrupt, deadline: float, record: VmRecord
) -> VmRecord:
    return VmBoot(host, host.tart_of(settings), settings, deadline, interrupt).run(record)


def _note(host: TartHost, record: VmRecord) -> None:
    try:
        host.inventory.note(host.vm_of(record), record)
    except OSError as error:
        raise file_error(f"write the record of VM {record.name}", error, host.tart_at(record).home) from error


@contextmanager
def _typed() -> Iterator[None]:
    """Of all that can go wrong with tart, a start raises only what its caller tells apart."""
    try:
        yield
    except BackendError as error:
        known = as_start_error(error)
        if known is error:
            raise
        raise known from error
