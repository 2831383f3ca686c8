"""All VMs of one owner, as the intent files and the records in the VMs' directories tell together.

Never by name pattern alone: what has neither may be another daemon's fresh clone (docs/tart.md § 14).
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.intents import Intents
from runscaler.backends.tart.processes import pid_by_command_line
from runscaler.backends.tart.record import RECORD_FILE, VM_NAME, Phase, VmRecord, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import BackendContext
    from runscaler.backends.tart.vm import Vm


class VmInventory:
    """Thread-safe. Writing raises OSError."""

    def __init__(self, context: BackendContext) -> None:
        directory = context.state_dir / "tart" / context.owner if context.state_dir else None
        self._owner = context.owner
        self._intents = Intents(directory)
        self._lock = threading.Lock()
        self._homes: dict[TartHome, None] = {}
        self._starting: set[str] = set()

    def know(self, home: TartHome) -> None:
        """Look there too from now on."""
        with self._lock:
            self._homes[home] = None

    def homes(self) -> list[TartHome]:
        """Those that sets use, and those that VMs of ours lie in."""
        of_intents = {TartHome.at(record.home): None for record in self._intents.all()}
        with self._lock:
            return list(self._homes | of_intents)

    @contextmanager
    def starting(self, name: str) -> Iterator[None]:
        """It is not listed until it is complete."""
        with self._lock:
            self._starting.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._starting.discard(name)

    def intend(self, record: VmRecord) -> None:
        """Before the clone."""
        self._intents.write(record)

    def note(self, vm: Vm, record: VmRecord) -> VmRecord:
        write_record(vm, record)
        return record

    def forget(self, name: str) -> None:
        """When nothing of it is left."""
        self._intents.drop(name)

    def find(self, name: str) -> VmRecord | None:
        """None for what is not ours, or no VM's name."""
        if not VM_NAME.match(name):
            return None
        intent = self._intents.read(name)
        homes = [TartHome.at(intent.home)] if intent else self.homes()
        found = [self._recorded(home.vm(name), home) for home in homes]
        return next(filter(None, found), intent)

    def listed(self) -> list[VmRecord]:
        """Those that are there in whatever state, but for the ones being started."""
        seen = {record.name: record for record in self._intents.all()}
        seen |= {record.name: record for home in self.homes() for record in self._records_in(home)}
        with self._lock:
            complete = [record for record in seen.values() if record.name not in self._starting]
        return [record for earlier in complete if (record := self._as_it_is_now(earlier)) is not None]

    def _records_in(self, home: TartHome) -> list[VmRecord]:
        named = [vm for vm in home.vms() if VM_NAME.match(vm.name)]
        return [record for vm in named if (record := self._recorded(vm, home)) is not None]

    def _recorded(self, vm: Vm, home: TartHome) -> VmRecord | None:
        """What its directory says, whichever name or place somebody gave it since."""
        record = read_record(vm.path / RECORD_FILE)
        if record is None or record.owner != self._owner:
            return None
        return record.model_copy(update={"home": str(home), "name": vm.name})

    def _as_it_is_now(self, earlier: VmRecord) -> VmRecord | None:
        """Read again once it is known that no start is under way: what was read before may be half of
        one. But what waited then still counts as waiting, as a start may have taken it since."""
        if earlier.phase is Phase.POOLED:
            return earlier
        home = TartHome.at(earlier.home)
        record = self._recorded(home.vm(earlier.name), home)
        return record or (earlier if self._is_there(earlier) else None)

    def _is_there(self, intent: VmRecord) -> bool:
        """Of one without a record. One that is still made, or runs without its files, is there too."""
        if pid_by_command_line(intent.name) or TartHome.at(intent.home).vm(intent.name).exists():
            return True
        logger.debug("VM {} was never made, or somebody removed it", intent.name)
        self._intents.drop(intent.name)
        return False
