"""The VM slots of this host: which are free, and who holds the others.

A slot is free if its file is not locked, the limit is not reached, and no running VM has its MAC. macOS VMs
that run without a slot count against the limit, too: those of other programs, and ours if somebody deleted
the lock file. All this takes files and locks only; no process is started.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.backends.base import Place
from runscaler.backends.tart.slot_locks import SlotHolder, SlotLocks
from runscaler.errors import VmLimitReached

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from runscaler.backends.tart.home import TartHome
    from runscaler.names import OwnerId

_FIRST_MAC = 0x02_00_00_00_00_01
_REBOOT = (
    "no running VM can be seen: end leftover com.apple.Virtualization.VirtualMachine processes",
    "restart the Mac if that does not help: its kernel may have lost count",
)


@dataclass(frozen=True, slots=True)
class RunningVm:
    """`is_macos` is True also if its configuration cannot be read."""

    home: str
    name: str
    mac: str
    is_macos: bool


def mac_of(slot: int) -> str:
    """Each slot has a fixed, locally administered MAC address (docs/tart.md § 7)."""
    return (_FIRST_MAC + slot).to_bytes(6, "big").hex(":")


def running_in(home: TartHome) -> list[RunningVm]:
    """All running VMs of a TART_HOME, whoever started them."""
    return [_running_vm(home, vm.name) for vm in home.vms() if vm.pid()]


class VmSlots:
    """Thread-safe. Raises `BackendError`."""

    def __init__(self, directory: Path, owner: OwnerId, homes: Callable[[], Collection[TartHome]]) -> None:
        self._owner = owner
        self._homes = homes
        self._locks = SlotLocks(directory)
        self._lock = threading.Lock()

    def claim(self, most: int, but: Collection[int] = ()) -> Place | None:
        """The lowest free slot of the first `most`; those in `but` count as taken."""
        with self._lock:
            free = self._free(most, but)
            return next(filter(None, (self._claim(number, most) for number in free)), None)

    def claim_same(self, place: Place, most: int) -> bool:
        """Claim this very slot, unless we hold it already. False if it is not free."""
        number = place.vm_slot
        if number is None:
            return False
        with self._lock:
            if self._locks.has(number):
                return True
            return number in self._free(most) and self._claim(number, most) is not None

    def claimed(self) -> list[Place]:
        """All that this process holds itself, not through a VM's process."""
        with self._lock:
            return [Place(number, mac_of(number)) for number in self._locks.claimed()]

    def has(self, place: Place) -> bool:
        """Does this process hold it?"""
        with self._lock:
            return place.vm_slot is not None and self._locks.has(place.vm_slot)

    def set_vm(self, place: Place, vm: str, home: TartHome) -> None:
        """Tell others which VM the slot is used for."""
        with self._lock:
            if place.vm_slot is not None and self._locks.has(place.vm_slot):
                self._locks.set_holder(place.vm_slot, self._holder(place.vm_slot, vm, str(home)))

    def descriptor_to_inherit(self, place: Place) -> int:
        """For the VM's process, which holds the slot from then on. Raises `VmLimitReached`."""
        with self._lock:
            if place.vm_slot is None or not self._locks.has(place.vm_slot):
                raise VmLimitReached(
                    "the VM slot was released, or its lock file deleted, before the VM could run in it"
                )
            return self._locks.descriptor_to_inherit(place.vm_slot)

    def release(self, place: Place) -> None:
        with self._lock:
            if place.vm_slot is not None:
                self._locks.release(place.vm_slot)

    def holders(self, but: Place | None = None) -> str:
        """For people: who holds the slots, without the holder of `but`."""
        with self._lock:
            taken, slotless = self._survey()
        but_slot = but.vm_slot if but is not None else None
        named = [_described(holder, self._owner) for number, holder in taken.items() if number != but_slot]
        named += [f"{vm.name} (not ours)" for vm in slotless]
        return ", ".join(named)

    def limit_error(self, ours: Place | None = None) -> VmLimitReached:
        """Names the other holders. If none can be seen, the kernel may have lost count (docs/tart.md § 8)."""
        if holders := self.holders(ours):
            return VmLimitReached(f"the host runs as many macOS VMs as it may: {holders}")
        return VmLimitReached("macOS says that the host runs as many macOS VMs as it may", fixes=_REBOOT)

    def close(self) -> None:
        with self._lock:
            self._locks.close()

    def _free(self, most: int, but: Collection[int] = ()) -> list[int]:
        held, slotless = self._survey()
        taken = held.keys() | set(but)
        if len(taken) + len(slotless) >= most:
            return []
        macs = {vm.mac for vm in self._running() if not _holds_slot(vm, held)}
        return [number for number in range(most) if number not in taken and mac_of(number) not in macs]

    def _claim(self, number: int, most: int) -> Place | None:
        """Counts again once it is claimed: another program may have claimed at the same moment."""
        if not self._locks.claim(number, self._holder(number)):
            return None
        taken, slotless = self._survey()
        if len(taken) + len(slotless) > most:
            self._locks.release(number)
            return None
        return Place(number, mac_of(number))

    def _survey(self) -> tuple[dict[int, SlotHolder], list[RunningVm]]:
        """The slots that are held, and the macOS VMs that run without one."""
        taken = self._locks.taken()
        return taken, [vm for vm in self._running() if vm.is_macos and not _holds_slot(vm, taken)]

    def _running(self) -> list[RunningVm]:
        return [vm for home in self._homes() for vm in running_in(home)]

    def _holder(self, number: int, vm: str = "", home: str = "") -> SlotHolder:
        return SlotHolder(self._owner, vm, home, mac_of(number), os.getpid())


def _holds_slot(vm: RunningVm, taken: dict[int, SlotHolder]) -> bool:
    return any((holder.vm, holder.home) == (vm.name, vm.home) for holder in taken.values())


def _described(holder: SlotHolder, owner: OwnerId) -> str:
    name = holder.vm or "one that starts"
    return name if holder.owner == owner else f"{name} (another program's)"


def _running_vm(home: TartHome, name: str) -> RunningVm:
    try:
        config = home.vm(name).read_config()
    except (OSError, ValueError):
        config = {}
    mac = str(config.get("macAddress", "")).lower()
    return RunningVm(str(home), name, mac, config.get("os", "darwin") == "darwin")
