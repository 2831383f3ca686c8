"""Which places of the host are free: not locked, within the limit, and their MAC in use by nobody.

Running macOS VMs that hold no slot count against the limit too: other programs', and ours whose lock
file somebody deleted. Files and locks only, no process is started.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.backends.base import Place
from runscaler.backends.tart.slot_locks import SlotHolder, SlotLocks
from runscaler.errors import PlacesTaken

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from runscaler.backends.tart.home import TartHome
    from runscaler.names import OwnerId

_FIRST_MAC = 0x02_00_00_00_00_01


@dataclass(frozen=True, slots=True)
class RunningVm:
    """`is_macos` True too where its configuration cannot be read."""

    home: str
    name: str
    mac: str
    is_macos: bool


def mac_of(slot: int) -> str:
    """The slot's own: locally administered, one address a slot for ever (docs/tart.md § 7)."""
    return (_FIRST_MAC + slot).to_bytes(6, "big").hex(":")


def running_in(home: TartHome) -> list[RunningVm]:
    """All running VMs of a TART_HOME, ours or not."""
    return [running for vm in home.vms() if vm.pid() and (running := _looked_at(home, vm.name))]


class VmSlots:
    """Thread-safe. Raises `BackendError`."""

    def __init__(self, directory: Path, owner: OwnerId, homes: Callable[[], Collection[TartHome]]) -> None:
        self._owner = owner
        self._homes = homes
        self._slots = SlotLocks(directory)
        self._lock = threading.Lock()

    def claim(self, most: int, but: Collection[int] = ()) -> Place | None:
        """The lowest free one of the first `most`; those in `but` count as taken."""
        with self._lock:
            free = self._free(most, but)
            return next(filter(None, (self._claimed(number, most) for number in free)), None)

    def claim_again(self, place: Place, most: int) -> bool:
        """That very one, unless it is ours already."""
        number = place.vm_slot
        if number is None:
            return False
        with self._lock:
            if self._slots.has(number):
                return True
            return number in self._free(most) and self._claimed(number, most) is not None

    def claimed(self) -> list[Place]:
        """All that this process holds itself."""
        with self._lock:
            return [Place(number, mac_of(number)) for number in self._slots.claimed()]

    def has(self, place: Place) -> bool:
        """Is it claimed by this process?"""
        with self._lock:
            return place.vm_slot is not None and self._slots.has(place.vm_slot)

    def note(self, place: Place, vm: str, home: TartHome) -> None:
        with self._lock:
            if place.vm_slot is not None and self._slots.has(place.vm_slot):
                self._slots.note(place.vm_slot, self._holder(place.vm_slot, vm, str(home)))

    def lend(self, place: Place) -> tuple[int, ...]:
        """The descriptors that the VM's process inherits, so that it holds its place itself."""
        with self._lock:
            if place.vm_slot is None or not self._slots.has(place.vm_slot):
                raise PlacesTaken(
                    "the VM slot was given back, or its lock file deleted, before the VM could run in it"
                )
            return (self._slots.lend(place.vm_slot),)

    def give_back(self, place: Place) -> None:
        with self._lock:
            if place.vm_slot is not None:
                self._slots.give_back(place.vm_slot)

    def holders(self, but: Place | None = None) -> str:
        """For people; without the one who has the place `but`."""
        with self._lock:
            taken, slotless = self._survey()
        but_slot = but.vm_slot if but is not None else None
        named = [_described(holder, self._owner) for number, holder in taken.items() if number != but_slot]
        named += [f"{vm.name} (not ours)" for vm in slotless]
        return ", ".join(named)

    def close(self) -> None:
        with self._lock:
            self._slots.close()

    def _free(self, most: int, but: Collection[int] = ()) -> list[int]:
        held, slotless = self._survey()
        taken = held.keys() | set(but)
        if len(taken) + len(slotless) >= most:
            return []
        macs = {vm.mac for vm in self._running() if not _holds(vm, held)}
        return [number for number in range(most) if number not in taken and mac_of(number) not in macs]

    def _claimed(self, number: int, most: int) -> Place | None:
        """Counted once more with ours: another program may have claimed at the same moment."""
        if not self._slots.claim(number, self._holder(number)):
            return None
        taken, slotless = self._survey()
        if len(taken) + len(slotless) > most:
            self._slots.give_back(number)
            return None
        return Place(number, mac_of(number))

    def _survey(self) -> tuple[dict[int, SlotHolder], list[RunningVm]]:
        """The slots that are held, and the macOS VMs that run without one."""
        taken = self._slots.taken()
        return taken, [vm for vm in self._running() if vm.is_macos and not _holds(vm, taken)]

    def _running(self) -> list[RunningVm]:
        return [vm for home in self._homes() for vm in running_in(home)]

    def _holder(self, number: int, vm: str = "", home: str = "") -> SlotHolder:
        return SlotHolder(self._owner, vm, home, mac_of(number), os.getpid())


def _holds(vm: RunningVm, taken: dict[int, SlotHolder]) -> bool:
    return any((holder.vm, holder.home) == (vm.name, vm.home) for holder in taken.values())


def _described(holder: SlotHolder, owner: OwnerId) -> str:
    name = holder.vm or "one that starts"
    return name if holder.owner == owner else f"{name} (another program's)"


def _looked_at(home: TartHome, name: str) -> RunningVm:
    try:
        found = home.vm(name).read()
    except (OSError, ValueError):
        found = {}
    mac = str(found.get("macAddress", "")).lower()
    return RunningVm(str(home), name, mac, found.get("os", "darwin") == "darwin")
