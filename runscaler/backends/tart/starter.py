"""Starts runners, each in a warm VM or in a VM made for it, and makes warm VMs."""

from __future__ import annotations

import math
import secrets
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.base import Place
from runscaler.backends.tart.boot import VmBoot
from runscaler.backends.tart.guest_input import guest_input
from runscaler.backends.tart.images import fqn
from runscaler.backends.tart.output_errors import as_start_error, file_error
from runscaler.backends.tart.record import Phase, VmRecord, write_record
from runscaler.backends.tart.start_deadline import StartDeadline
from runscaler.errors import BackendError
from runscaler.names import new_runner_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import Resource, RunnerOrder, WarmResource
    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.host import TartHost
    from runscaler.backends.tart.vm_monitor import VmMonitor
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import JitConfig
    from runscaler.interrupt import Interrupt


class VmStarter:
    """Thread-safe. A VM is neither listed nor monitored before its start is complete."""

    def __init__(self, host: TartHost, monitor: VmMonitor) -> None:
        self._host = host
        self._monitor = monitor

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        """See `Backend.start`. A warm VM is used up whatever the outcome."""
        bound = {"scale_set": order.settings.name, "slot": order.slot, "runner": order.runner}
        with logger.contextualize(**bound), ExitStack() as starting:
            with ExitStack() as undo, _only_start_errors():
                start = _RunnerStart(self._host, order, interrupt, starting, undo)
                self._monitor.discard(order.place.warm)
                record = start.run()
                undo.pop_all()
            self._complete(record)
        return record.resource(None)

    def make_warm(self, settings: ScaleSetSettings, place: Place, interrupt: Interrupt) -> WarmResource:
        """See `PlacedBackend.warm`."""
        interrupt.wait(0)
        host, tart = self._host, self._host.tart_of(settings)
        name = unused_name(tart, f"pool-{secrets.token_hex(4)}")
        with host.inventory.starting(name):
            with ExitStack() as undo, _only_start_errors():
                if not host.slots.claim_same(place, settings.tart.max_vms):
                    raise host.slots.limit_error()
                record = new_record(host, settings, name, place)
                undo.callback(host.discard, record)
                deadline = StartDeadline(host.clock, math.inf, interrupt)
                record = VmBoot(host, tart, settings, deadline).run(record)
                record = record.with_phase(Phase.POOLED, ready_at=host.clock.wall())
                _write(host, record)
                undo.pop_all()
            self._complete(record)
        return record.warm()

    def _complete(self, record: VmRecord) -> None:
        """The VM's process holds its VM slot by itself from now on."""
        self._host.slots.release(record.place)
        self._monitor.add(record, self._host.tart_at(record))


class _RunnerStart:
    """One start. `undo` is run after a failure; `starting` keeps VMs unlisted until the end either way."""

    def __init__(
        self, host: TartHost, order: RunnerOrder, interrupt: Interrupt, starting: ExitStack, undo: ExitStack
    ) -> None:
        self._host, self._order = host, order
        self._starting, self._undo = starting, undo
        self._deadline = StartDeadline(host.clock, order.deadline, interrupt)

    def run(self) -> VmRecord:
        warm = self._warm_vm()
        self._deadline.check()
        record = warm or self._boot()
        jit = self._order.jit()
        self._deadline.check()
        if warm is not None and not self._host.vm_of(warm).pid():
            self._give_up(warm)
            record = self._boot()
        return self._start_runner(record, jit)

    def _warm_vm(self) -> VmRecord | None:
        """The one that the order names, if it still runs."""
        name = self._order.place.warm
        record = self._host.inventory.find(name) if name else None
        if record is None:
            return None
        self._starting.enter_context(self._host.inventory.starting(name))
        if record.phase is Phase.POOLED and self._host.vm_of(record).pid():
            self._undo.callback(self._host.discard, record)
            return record
        self._give_up(record)
        return None

    def _give_up(self, warm: VmRecord) -> None:
        logger.info("warm VM {} ended before its runner could start: making another VM", warm.name)
        self._host.discard(warm)

    def _boot(self) -> VmRecord:
        host, settings = self._host, self._order.settings
        place, tart = self._claim_slot(), host.tart_of(settings)
        name = unused_name(tart, self._order.runner)
        self._starting.enter_context(host.inventory.starting(name))
        record = self._assigned(new_record(host, settings, name, place))
        self._undo.callback(host.discard, record)
        return VmBoot(host, tart, settings, self._deadline, self._order.reached).run(record)

    def _claim_slot(self) -> Place:
        """The order's VM slot, or the lowest free one. A slot claimed here is released after a failure."""
        slots, most = self._host.slots, self._order.settings.tart.max_vms
        wanted = Place(self._order.place.vm_slot, self._order.place.mac)
        if slots.has(wanted):
            return wanted
        claimed: Place | None = wanted
        if wanted.vm_slot is None:
            claimed = slots.claim(most)
        elif not slots.claim_same(wanted, most):
            claimed = None
        if claimed is None:
            raise slots.limit_error()
        self._undo.callback(slots.release, claimed)
        return claimed

    def _start_runner(self, record: VmRecord, jit: JitConfig) -> VmRecord:
        """At most once in a VM: after a failure nobody knows whether the runner runs."""
        host, settings = self._host, self._order.settings
        record = self._assigned(record).with_phase(Phase.INJECTING, runner_id=jit.runner_id)
        _write(host, record)
        began = host.clock.monotonic()
        guest = host.guest_of(record)
        stdin = guest_input(settings, jit.encoded, record.name)
        pid = guest.start_runner(settings.tart.runner_dir, stdin, self._deadline.interrupt)
        record = record.with_phase(Phase.RUNNING, guest_pid=pid)
        _write(host, record)
        logger.debug("the runner in VM {} started in {:.3f} s", record.name, host.clock.monotonic() - began)
        return record

    def _assigned(self, record: VmRecord) -> VmRecord:
        """To the order's runner."""
        key = self._order.key
        scale_set = {"url": key.url, "group": key.group, "scale_set": key.name}
        runner = {"slot": self._order.slot, "runner_name": self._order.runner}
        return record.model_copy(update=scale_set | runner)


def kind_of(host: TartHost, settings: ScaleSetSettings) -> str:
    """Runners with equal kinds can use each other's warm VMs. A tag that moved makes another kind."""
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


def unused_name(tart: Tart, wanted: str) -> str:
    """`wanted`, or another if it is taken: a clone would silently replace a VM of that name."""
    name = wanted
    while tart.home.vm(name).exists():
        name = f"pool-{secrets.token_hex(4)}" if wanted.startswith("pool-") else new_runner_name()
    return name


def _write(host: TartHost, record: VmRecord) -> None:
    try:
        write_record(host.vm_of(record), record)
    except OSError as error:
        raise file_error(f"write the record of VM {record.name}", error, host.tart_at(record).home) from error


@contextmanager
def _only_start_errors() -> Iterator[None]:
    """See `as_start_error`."""
    try:
        yield
    except BackendError as error:
        known = as_start_error(error)
        if known is error:
            raise
        raise known from error
