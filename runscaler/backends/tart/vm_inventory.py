"""All VMs of one owner, found through the intent files and the records in the VMs' directories.

Never by name alone: a VM without either may be another daemon's fresh clone (docs/tart.md § 14).
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.intents import Intents
from runscaler.backends.tart.processes import pid_by_command_line
from runscaler.backends.tart.record import RECORD_FILE, VM_NAME, Phase, VmRecord, read_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import BackendContext
    from runscaler.backends.tart.vm import Vm


class VmInventory:
    """Thread-safe."""

    def __init__(self, context: BackendContext) -> None:
        self._owner = context.owner
        self.intents = Intents(context.state_dir, context.owner)
        self._lock = threading.Lock()
        self._homes: dict[TartHome, None] = {}
        self._starting: set[str] = set()

    def add_home(self, home: TartHome) -> None:
        """Look for VMs there too from now on."""
        with self._lock:
            self._homes[home] = None

    def homes(self) -> list[TartHome]:
        """Those that were added, and those that the intent files name."""
        of_intents = {TartHome.at(record.home): None for record in self.intents.all()}
        with self._lock:
            return list(self._homes | of_intents)

    @contextmanager
    def starting(self, name: str) -> Iterator[None]:
        """The VM is not listed before the block ends."""
        with self._lock:
            self._starting.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._starting.discard(name)

    def find(self, name: str) -> VmRecord | None:
        """None if the VM is not ours, or if that is no name of a VM of ours."""
        if not VM_NAME.match(name):
            return None
        intent = self.intents.read(name)
        homes = [TartHome.at(intent.home)] if intent else self.homes()
        found = [self._read_record(home.vm(name), home) for home in homes]
        return next(filter(None, found), intent)

    def records(self) -> list[VmRecord]:
        """Of all VMs in whatever state but those whose start is under way."""
        found = {record.name: record for record in self.intents.all()}
        found |= {record.name: record for home in self.homes() for record in self._records_in(home)}
        with self._lock:
            complete = [record for record in found.values() if record.name not in self._starting]
        return [record for earlier in complete if (record := self._current(earlier)) is not None]

    def _records_in(self, home: TartHome) -> list[VmRecord]:
        named = [vm for vm in home.vms() if VM_NAME.match(vm.name)]
        return [record for vm in named if (record := self._read_record(vm, home)) is not None]

    def _read_record(self, vm: Vm, home: TartHome) -> VmRecord | None:
        """With the VM's current name and home, in case somebody renamed or moved it."""
        record = read_record(vm.path / RECORD_FILE)
        if record is None or record.owner != self._owner:
            return None
        return record.model_copy(update={"home": str(home), "name": vm.name})

    def _current(self, earlier: VmRecord) -> VmRecord | None:
        """Read again, now that no start of it is under way: `earlier` may be from the middle of one.

        A VM that was warm then is still returned as warm, as a start may have taken it since."""
        if earlier.phase is Phase.POOLED:
            return earlier
        home = TartHome.at(earlier.home)
        record = self._read_record(home.vm(earlier.name), home)
        return record or (earlier if self._exists(earlier) else None)

    def _exists(self, intent: VmRecord) -> bool:
        """For a VM without a record: is it there, or being cloned, or running without its files?"""
        if pid_by_command_line(intent.name) or TartHome.at(intent.home).vm(intent.name).exists():
            return True
        logger.debug("VM {} was never made, or somebody removed it", intent.name)
        self.intents.delete(intent.name)
        return False
