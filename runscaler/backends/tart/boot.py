"""Makes and boots a VM until its agent answers: steps 2 to 8 of docs/tart.md § 10."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.base import StartStep
from runscaler.backends.tart.background_exec import ExecProbe
from runscaler.backends.tart.clone import Clone
from runscaler.backends.tart.guest import Guest, agent_answers_on
from runscaler.backends.tart.images import fqn
from runscaler.backends.tart.output_errors import command_error, error_from_text, file_error
from runscaler.backends.tart.processes import RUN_PROCESSES
from runscaler.backends.tart.record import Phase, VmRecord, write_record
from runscaler.errors import BackendError, StartFailed, VmLimitReached
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.host import TartHost
    from runscaler.backends.tart.start_deadline import StartDeadline
    from runscaler.backends.tart.vm import Vm
    from runscaler.config.model import ScaleSetSettings

NO_AGENT = (
    "use an image with tart-guest-agent, as all of Cirrus' are except the *-vanilla ones",
    "raise [tart] boot-timeout if this host is slow",
)
_TAIL = 400
_SEARCHED = 4000


@dataclass(frozen=True, slots=True)
class VmBoot:
    """One VM in the making. If it fails, the caller has to remove what it made."""

    host: TartHost
    tart: Tart
    settings: ScaleSetSettings
    deadline: StartDeadline
    reached: Callable[[StartStep], None] = lambda _: None

    def run(self, record: VmRecord) -> VmRecord:
        """Returns the record of the VM that is ready. Raises `BackendError` and `Interrupted`."""
        vm = self.tart.home.vm(record.name)
        with self._step("write the intent file of", vm):
            self.host.inventory.intents.write(record)
        with self._step("clone", vm):
            Clone(self.tart, self.host.images, self.host.timings, self.deadline, record.image, vm).run()
        with self._step("write the record of", vm):
            record = record.with_phase(Phase.CLONED, image_fqn=fqn(self.tart.home, record.image))
            write_record(vm, record)
        self._set_size(vm)
        with self._step("set the MAC of", vm), self.tart.home.exclusive(self.deadline.interrupt):
            vm.set_mac(record.mac)
        self.reached(StartStep.CREATED)
        with self._step("start", vm):
            record = record.with_phase(Phase.BOOTING)
            write_record(vm, record)
            self._start(record, vm)
        with self._step("wait for", vm):
            self._wait_for_agent(record, vm)
        self.reached(StartStep.BOOTED)
        self._warn_of_mac_collision(record, vm)
        return record

    @contextmanager
    def _step(self, doing: str, vm: Vm) -> Iterator[None]:
        """Logs how long the step took. Errors from our own files become `StartFailed`."""
        self.deadline.check()
        began = self.tart.clock.monotonic()
        try:
            yield
        except (OSError, ValueError) as error:
            raise file_error(f"{doing} VM {vm.name}", error, self.tart.home) from error
        logger.debug("it took {:.3f} s to {} VM {}", self.tart.clock.monotonic() - began, doing, vm.name)

    def _set_size(self, vm: Vm) -> None:
        wanted = {"--cpu": self.settings.tart.cpu, "--memory": self.settings.tart.memory}
        options = [word for flag, value in wanted.items() if value for word in (flag, str(value))]
        if not options:
            return
        interrupt = self.deadline.interrupt
        with self._step("set the size of", vm), self.tart.home.exclusive(interrupt):
            seconds = self.deadline.remaining(self.host.timings.set)
            output = self.tart.call("set", vm.name, *options, seconds=seconds, interrupt=interrupt)
        if output.code != 0:
            raise command_error(f"set {' '.join(options)} for VM {vm.name}", output)

    def _start(self, record: VmRecord, vm: Vm) -> None:
        """`tart run` inherits the lock of its VM slot, and so holds the slot itself."""
        self.host.slots.set_vm(record.place, record.name, self.tart.home)
        log_descriptor = os.open(vm.run_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(log_descriptor, "ab") as log:
            flags = ("--no-graphics", "--no-audio", "--no-clipboard")
            lock = self.host.slots.descriptor_to_inherit(record.place)
            popen = self.tart.spawn("run", record.name, *flags, log=log, pass_fds=(lock,))
        RUN_PROCESSES.add(str(vm.path), popen)

    def _wait_for_agent(self, record: VmRecord, vm: Vm) -> None:
        clock, began = self.tart.clock, self.tart.clock.monotonic()
        with closing(ExecProbe(Guest(self.tart, vm.name, self.host.timings))) as probe:
            while not self._agent_answers(vm, probe, clock.monotonic() - began):
                code = RUN_PROCESSES.exit_code(str(vm.path))
                if code is not None:
                    raise self._ended_early(record, vm, code)
                self.deadline.remaining(0.0)
                if clock.monotonic() >= began + self.settings.tart.boot_timeout:
                    raise self._no_answer(vm)
                clock.pause(self.host.timings.probe_interval, self.deadline.interrupt)

    def _agent_answers(self, vm: Vm, probe: ExecProbe, waited: float) -> bool:
        """On its control socket; if that cannot be reached, or stays silent for long, also to an exec."""
        timings = self.host.timings
        if vm.socket is not None and agent_answers_on(vm.socket, timings.socket_probe):
            return True
        return (vm.socket is None or waited >= timings.socket_only) and probe.answered()

    def _ended_early(self, record: VmRecord, vm: Vm, code: int) -> BackendError:
        output = vm.run_output().decode(errors="replace").strip()[-_SEARCHED:]
        logger.debug("output of VM {} before it ended: {}", vm.name, output)
        error = error_from_text(f"start VM {vm.name}", output, self.tart.home)
        if isinstance(error, VmLimitReached):
            return self.host.slots.limit_error(record.place)
        if isinstance(error, StartFailed):
            return error
        how = f"signal {-code}" if code < 0 else f"code {code}"
        return StartFailed(f"VM {vm.name} ended while it booted, with {how}: {output[-_TAIL:]}".rstrip(": "))

    def _no_answer(self, vm: Vm) -> StartFailed:
        timeout = format_duration(self.settings.tart.boot_timeout)
        output = " ".join(vm.run_output(_TAIL).decode(errors="replace").split())
        reason = f"; output of tart run: {output}" if output else ""
        return StartFailed(
            f"the guest agent of VM {vm.name} did not answer within {timeout}{reason}", fixes=NO_AGENT
        )

    def _warn_of_mac_collision(self, record: VmRecord, vm: Vm) -> None:
        mac = vm.mac()
        if mac and mac != record.mac:
            logger.warning(
                "VM {} got MAC address {} instead of {}: another running VM of {} has it",
                *(vm.name, mac, record.mac, self.tart.home),
            )
