"""From nothing to a VM whose agent answers: steps 1 to 8 of docs/tart.md § 10, each undone if a later one fails."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.tart.background_exec import ExecProbe
from runscaler.backends.tart.cli import TartTimedOut
from runscaler.backends.tart.guest import Guest, answers_socket
from runscaler.backends.tart.images import cached, clone_failure, fqn, is_remote
from runscaler.backends.tart.output_errors import command_error, error_from_text, file_error
from runscaler.backends.tart.processes import RUN_PROCESSES
from runscaler.backends.tart.pull_listener import CloneListener
from runscaler.backends.tart.record import Phase, VmRecord
from runscaler.errors import BackendError, ImageMissing, PlacesTaken, StartFailed
from runscaler.names import new_runner_name
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import Place
    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.host import TartHost
    from runscaler.backends.tart.vm import Vm
    from runscaler.backends.tart.vm_slots import VmSlots
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt

REBOOT = (
    "nobody is seen to run a VM: end leftover com.apple.Virtualization.VirtualMachine processes",
    "restart the Mac if that does not help: its kernel may have lost count",
)
NO_AGENT = (
    "use an image with tart-guest-agent, as Cirrus' are but for their *-vanilla ones",
    "raise [tart] boot-timeout if this host is slow",
)
_MAC = re.compile(r"^([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}\Z", re.IGNORECASE)
_TAIL = 400
_SEARCHED = 4000


@dataclass(frozen=True, slots=True)
class VmBoot:
    """One VM in the making; `deadline` is monotonic. Whoever calls takes back what it made."""

    host: TartHost
    tart: Tart
    settings: ScaleSetSettings
    deadline: float
    interrupt: Interrupt

    def run(self, record: VmRecord) -> VmRecord:
        """The record of the VM that is ready. Raises `BackendError`s and `Interrupted`."""
        vm = self.tart.home.vm(record.name)
        with self._step("write down the intent for", record.name):
            self.host.inventory.intend(record)
        self._clone(record, vm)
        with self._step("write the record of", record.name):
            record = record.with_phase(Phase.CLONED, image_fqn=fqn(self.tart.home, record.image))
            self.host.inventory.note(vm, record)
        self._set(record)
        with self._step("set the MAC of", record.name), self.tart.home.turn(self.interrupt):
            vm.set_mac(record.mac)
        with self._step("start", record.name):
            record = record.with_phase(Phase.BOOTING)
            self.host.inventory.note(vm, record)
            self._run(record, vm)
        with self._step("wait for", record.name):
            self._await_agent(record, vm)
        self._warn_of_collision(record, vm)
        return record

    @contextmanager
    def _step(self, doing: str, name: str) -> Iterator[None]:
        """Tells how long it took, and makes what our own files do into what a start raises."""
        self._go_on()
        began = self.tart.clock.monotonic()
        try:
            yield
        except (OSError, ValueError) as error:
            raise file_error(f"{doing} VM {name}", error, self.tart.home) from error
        logger.debug("it took {:.3f} s to {} VM {}", self.tart.clock.monotonic() - began, doing, name)

    def _go_on(self) -> None:
        self.interrupt.wait(0)
        self._left(0.0)

    def _left(self, most: float) -> float:
        """Seconds for a step that may take `most`."""
        left = self.deadline - self.tart.clock.monotonic()
        if left <= 0:
            raise StartFailed("the runner did not run in time: its start-timeout has passed")
        return min(left, most)

    def _clone(self, record: VmRecord, vm: Vm) -> None:
        with self._step("clone", record.name):
            if cached(self.tart.home, record.image) is None:
                self.host.images.ensure(self.tart, record.image, _silent, self.interrupt)
            error = self._cloned_once(record, vm)
            if error is None:
                return
            logger.debug("{}; trying once more", error)
            if isinstance(error, ImageMissing) and not is_remote(record.image):
                raise error
            error = self._cloned_once(record, vm)
            if error is not None:
                raise self._with_culprits(error)

    def _cloned_once(self, record: VmRecord, vm: Vm) -> BackendError | None:
        """What went wrong; then nothing of that name is left."""
        home, name = self.tart.home, record.name
        with home.turn(self.interrupt):
            listener = CloneListener(home, self.host.timings.pull_silence, self.host.timings.clone)
            seconds = self._left(self.host.timings.clone)
            try:
                output = self.tart.call(
                    *("clone", record.image, name),
                    seconds=seconds,
                    interrupt=self.interrupt,
                    listener=listener,
                )
            except TartTimedOut as error:
                raise StartFailed(
                    f"cannot clone image {record.image} to {name}: {error}",
                    fixes=(f"look for a tart command that hangs: it holds the lock of {home}",),
                ) from error
            if output.code == 0:
                return None
            if vm.exists():
                self.tart.call("delete", name, seconds=self.host.timings.delete, interrupt=self.interrupt)
        return clone_failure(record.image, name, output, home)

    def _with_culprits(self, error: BackendError) -> BackendError:
        """One VM whose configuration is broken makes every clone in its TART_HOME fail."""
        broken = [vm.name for vm in self.tart.home.vms() if vm.config.exists() and not _is_readable(vm)]
        if not broken:
            return error
        named = ", ".join(broken)
        return StartFailed(
            f"{error} (the configuration of {named} cannot be read, which makes every clone fail)",
            fixes=(f"mend or remove {named}: `tart delete {broken[0]}`",),
        )

    def _set(self, record: VmRecord) -> None:
        tart = self.settings.tart
        asked = {"--cpu": tart.cpu, "--memory": tart.memory}
        wanted = [word for flag, value in asked.items() if value for word in (flag, str(value))]
        if not wanted:
            return
        with self._step("set the size of", record.name), self.tart.home.turn(self.interrupt):
            seconds = self._left(self.host.timings.set)
            output = self.tart.call("set", record.name, *wanted, seconds=seconds, interrupt=self.interrupt)
        if output.code != 0:
            raise command_error(f"set {' '.join(wanted)} for VM {record.name}", output)

    def _run(self, record: VmRecord, vm: Vm) -> None:
        """`tart run` inherits the lock of its place, and so holds it itself."""
        self.host.places.note(record.place, record.name, self.tart.home)
        descriptor = os.open(vm.run_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            flags = ("--no-graphics", "--no-audio", "--no-clipboard")
            lent = self.host.places.lend(record.place)
            popen = self.tart.spawn("run", record.name, *flags, log=log, pass_fds=lent)
        RUN_PROCESSES.add(str(vm.path), popen)

    def _await_agent(self, record: VmRecord, vm: Vm) -> None:
        clock, began = self.tart.clock, self.tart.clock.monotonic()
        limit = began + self.settings.tart.boot_timeout
        with closing(ExecProbe(Guest(self.tart, vm.name, self.host.timings))) as probe:
            while not self._answers(vm, probe, clock.monotonic() - began):
                ended = RUN_PROCESSES.exit_code(str(vm.path))
                if ended is not None:
                    raise self._ended_early(record, vm, ended)
                self._left(0.0)
                if clock.monotonic() >= limit:
                    raise self._silent_guest(vm)
                clock.pause(self.host.timings.probe_interval, self.interrupt)

    def _answers(self, vm: Vm, probe: ExecProbe, waited: float) -> bool:
        """By its control socket; where that cannot be reached, or says nothing for long, by an exec too."""
        if vm.socket is not None and answers_socket(vm.socket, self.host.timings.socket_probe):
            return True
        return (vm.socket is None or waited >= self.host.timings.socket_only) and probe.answered()

    def _ended_early(self, record: VmRecord, vm: Vm, code: int) -> BackendError:
        said = vm.run_output().decode(errors="replace").strip()
        logger.debug("VM {} said before it ended: {}", vm.name, said[-_SEARCHED:])
        how = f"signal {-code}" if code < 0 else f"code {code}"
        error = error_from_text(f"start VM {vm.name}", said[-_SEARCHED:], self.tart.home)
        if isinstance(error, PlacesTaken):
            return places_taken(self.host.places, record.place)
        if isinstance(error, StartFailed):
            return error
        return StartFailed(f"VM {vm.name} ended while it booted, with {how}: {said[-_TAIL:]}".rstrip(": "))

    def _silent_guest(self, vm: Vm) -> StartFailed:
        patience = format_duration(self.settings.tart.boot_timeout)
        said = " ".join(vm.run_output()[-_TAIL:].decode(errors="replace").split())
        told = f"; tart run said: {said}" if said else ""
        return StartFailed(
            f"the guest agent of VM {vm.name} did not answer within {patience}{told}", fixes=NO_AGENT
        )

    def _warn_of_collision(self, record: VmRecord, vm: Vm) -> None:
        found = vm.mac()
        if found and found != record.mac:
            logger.warning(
                "VM {} got MAC address {} instead of {}: another running VM of {} has it",
                *(vm.name, found, record.mac, self.tart.home),
            )


def places_taken(places: VmSlots, ours: Place | None = None) -> PlacesTaken:
    """Who else holds them, as far as can be seen; else the kernel may have lost count (docs/tart.md § 8)."""
    held = places.holders(ours)
    if held:
        return PlacesTaken(f"the host runs as many macOS VMs as it may: {held}")
    return PlacesTaken("macOS says that the host runs as many macOS VMs as it may", fixes=REBOOT)


def fresh_name(tart: Tart, wanted: str) -> str:
    """`wanted`, or another one: a clone would silently replace a VM of that name."""
    name = wanted
    while tart.home.vm(name).exists():
        name = f"pool-{secrets.token_hex(4)}" if wanted.startswith("pool-") else new_runner_name()
    return name


def _is_readable(vm: Vm) -> bool:
    try:
        return _MAC.match(str(vm.read().get("macAddress"))) is not None
    except (OSError, ValueError):
        return False


def _silent(_what: str, _done: int, _total: int, /) -> None:
    pass
