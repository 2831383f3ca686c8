"""The VMs of all daemons of this user on this Mac, and of the Go tool, for `runner doctor`."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.base import BackendContext
from runscaler.backends.leftovers import LEGACY_POOL, LEGACY_RUNNER, NOBODY, Kind, Leftover
from runscaler.backends.tart.guest import Guest
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.host import TartHost
from runscaler.backends.tart.intents import Intents
from runscaler.backends.tart.record import RECORD_FILE, VM_NAME, read_record
from runscaler.backends.tart.removal import Removal
from runscaler.names import OWNER_ID, OwnerId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runscaler.backends.tart.timings import Timings
    from runscaler.backends.tart.vm import Vm
    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt


class TartSurvey:
    """See `Survey`. The id of a VM is its path. `homes` are those of the configuration."""

    name = "tart"

    def __init__(
        self,
        homes: Sequence[TartHome],
        state_dirs: Sequence[Path],
        clock: Clock,
        *,
        timings: Timings,
        slots: Path,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._homes = homes
        self._state_dirs = state_dirs
        self._clock, self._timings = clock, timings
        self._slots, self._environ = slots, environ

    def leftovers(self) -> list[Leftover]:
        """A VM without a record may be a fresh clone, whose intent file was written before: so the intent
        files are read after the VMs were listed (docs/tart.md § 14)."""
        homes = dict.fromkeys([*self._homes, TartHome.default(self._environ), *_intended(self._state_dirs)])
        vms = [vm for home in homes for vm in home.vms()]
        intended = _intended_vms(self._state_dirs)
        found = [_recorded(vm, intended) or intended.get(vm.path) or _legacy(vm) for vm in vms]
        return [one for one in found if one is not None]

    def runs_a_job(self, leftover: Leftover, interrupt: Interrupt) -> bool | None:
        home = _home_of(leftover)
        if not home.vm(leftover.name).pid():
            return False
        with self._host_of(leftover) as host:
            guest = Guest(host.tart_in(home), leftover.name, self._timings)
            return guest.runs_a_job(interrupt)

    def remove(self, leftover: Leftover, interrupt: Interrupt) -> None:
        home = _home_of(leftover)
        with self._host_of(leftover) as host:
            record = host.inventory.find(leftover.name) if leftover.owner else None
            if record is not None:
                host.remove(record, interrupt)
            elif not leftover.owner:
                Removal(host.tart_in(home), home.vm(leftover.name), self._timings).run(interrupt)

    def close(self) -> None:
        """Nothing is open."""

    @contextmanager
    def _host_of(self, leftover: Leftover) -> Iterator[TartHost]:
        state_dir = Path(leftover.state_dir) if leftover.state_dir else None
        context = BackendContext(leftover.owner, state_dir, self._clock)
        host = TartHost(context, self._timings, self._slots, self._environ)
        host.inventory.add_home(_home_of(leftover))
        try:
            yield host
        finally:
            host.slots.close()


def _home_of(leftover: Leftover) -> TartHome:
    return TartHome(Path(leftover.id).parents[1])


def _intended(state_dirs: Sequence[Path]) -> list[TartHome]:
    """The homes of VMs that intent files name."""
    return list(dict.fromkeys(TartHome(path.parents[1]) for path in _intended_vms(state_dirs)))


def _intended_vms(state_dirs: Sequence[Path]) -> dict[Path, Leftover]:
    """What the intent files of these state directories name, by the VM's path."""
    found = {}
    for state_dir in state_dirs:
        for folder in sorted((state_dir / "tart").glob("*")):
            if not OWNER_ID.match(folder.name):
                continue
            owner = OwnerId(folder.name)
            for record in Intents(state_dir, owner).all():
                path = TartHome.at(record.home).vm(record.name).path
                found[path] = Leftover(
                    Kind.VM, str(path), record.name, owner, str(state_dir), record.runner_name
                )
    return found


def _recorded(vm: Vm, intended: Mapping[Path, Leftover]) -> Leftover | None:
    record = read_record(vm.path / RECORD_FILE) if VM_NAME.match(vm.name) else None
    if record is None or not OWNER_ID.match(record.owner):
        return None
    intent = intended.get(vm.path)
    state_dir = intent.state_dir if intent is not None and intent.owner == record.owner else ""
    owner, runner = OwnerId(record.owner), record.runner_name
    return Leftover(Kind.VM, str(vm.path), vm.name, owner, state_dir, runner)


def _legacy(vm: Vm) -> Leftover | None:
    """By its name, if it has no record at all."""
    named = LEGACY_RUNNER.match(vm.name) or LEGACY_POOL.match(vm.name)
    if not named or os.path.lexists(vm.path / RECORD_FILE):
        return None
    return Leftover(Kind.VM, str(vm.path), vm.name, NOBODY)
