"""The parts that all operations of the Tart backend share: tart, the VMs of this owner, slots, images."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.tart.cli import Tart
from runscaler.backends.tart.guest import Guest
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.images import Images
from runscaler.backends.tart.record import Phase, write_record
from runscaler.backends.tart.removal import Removal
from runscaler.backends.tart.vm_inventory import VmInventory
from runscaler.backends.tart.vm_slots import VmSlots
from runscaler.errors import BackendError
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runscaler.backends.base import BackendContext
    from runscaler.backends.tart.record import VmRecord
    from runscaler.backends.tart.timings import Timings
    from runscaler.backends.tart.vm import Vm
    from runscaler.config.model import ScaleSetSettings


class TartHost:
    """Thread-safe. `slots` is the directory of the VM slots' lock files."""

    def __init__(
        self, context: BackendContext, timings: Timings, slots: Path, environ: Mapping[str, str]
    ) -> None:
        self.owner = context.owner
        self.clock = context.clock
        self.timings = timings
        self.environ = environ
        self.inventory = VmInventory(context)
        self.inventory.add_home(TartHome.default(environ))
        self.slots = VmSlots(slots, context.owner, self.inventory.homes)
        self.images = Images(timings)

    def tart_of(self, settings: ScaleSetSettings) -> Tart:
        """Adds the scale set's TART_HOME to those that the inventory covers."""
        home = TartHome.of(settings, self.environ)
        self.inventory.add_home(home)
        return self.tart_in(home)

    def tart_in(self, home: TartHome) -> Tart:
        return Tart(home, self.clock, self.environ)

    def tart_at(self, record: VmRecord) -> Tart:
        return self.tart_in(TartHome.at(record.home))

    def vm_of(self, record: VmRecord) -> Vm:
        return TartHome.at(record.home).vm(record.name)

    def guest_of(self, record: VmRecord) -> Guest:
        return Guest(self.tart_at(record), record.name, self.timings)

    def remove(self, record: VmRecord, interrupt: Interrupt) -> None:
        """Returns when nothing of the VM is left. After a `BackendError` it has to be repeated."""
        vm = self.vm_of(record)
        if vm.exists():
            with suppress(OSError):  # a full disk must not prevent the removal
                write_record(vm, record.with_phase(Phase.REMOVING))
        Removal(self.tart_at(record), vm, self.timings).run(interrupt)
        try:
            self.inventory.intents.delete(record.name)
        except OSError as error:
            raise BackendError(f"VM {record.name} is gone, but its intent file is not: {error}") from error

    def discard(self, record: VmRecord) -> None:
        """Remove what a failed start leaves; if that fails, too, the next inventory lists it as ended."""
        try:
            self.remove(record, Interrupt())
        except BackendError as error:
            log = logger.bind(runner=record.runner_name)
            log.warning("VM {} cannot be removed yet: {}", record.name, error)
