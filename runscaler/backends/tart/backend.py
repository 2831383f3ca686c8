"""The Tart backend: `PlacedBackend` over the VMs of this Mac."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.base import Ending, ResourceEnded, WatchCrashed
from runscaler.backends.process_exit import open_exit_descriptor
from runscaler.backends.tart.cache_pruning import sweeps_for
from runscaler.backends.tart.check import Checks, findings
from runscaler.backends.tart.guest import agent_answers_on
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.host import TartHost
from runscaler.backends.tart.processes import RUN_PROCESSES
from runscaler.backends.tart.record import Phase, write_record
from runscaler.backends.tart.starter import VmStarter, kind_of
from runscaler.backends.tart.timings import Timings
from runscaler.backends.tart.vm_monitor import VmMonitor
from runscaler.backends.tart.watch import TartWatches
from runscaler.errors import BackendError
from runscaler.findings import Level
from runscaler.interrupt import Interrupt
from runscaler.names import ScaleSetKey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from runscaler.backends.base import (
        BackendContext,
        Observation,
        Place,
        Progress,
        Resource,
        RunnerOrder,
        Sweep,
        WarmResource,
    )
    from runscaler.backends.process_exit import ExitDescriptor
    from runscaler.backends.tart.record import VmRecord
    from runscaler.backends.tart.watch import TartWatch
    from runscaler.config.model import ScaleSetSettings
    from runscaler.findings import Finding

SLOTS_VARIABLE = "RUNSCALER_TART_SLOTS"
"""Names another directory for the VM slots' lock files: for tests and the demo."""
SLOTS = "/var/tmp/runscaler-tart"  # noqa: S108 - the same for all users, and kept over a reboot
LEASES = Path("/var/db/dhcpd_leases")


class TartBackend:
    """Runners in Tart VMs; see `PlacedBackend`. VMs without an `exit_descriptor` are polled for their end."""

    name = "tart"

    def __init__(
        self,
        context: BackendContext,
        *,
        timings: Timings | None = None,
        environ: Mapping[str, str] = os.environ,
        exit_descriptor: Callable[[int], ExitDescriptor | None] = open_exit_descriptor,
        leases: Path = LEASES,
    ) -> None:
        self._owner = context.owner
        self._timings = timings or Timings()
        self._leases = leases
        self._closing = Interrupt()
        self._warned: set[str] = set()
        slots = Path(environ.get(SLOTS_VARIABLE) or SLOTS)
        self._host = TartHost(context, self._timings, slots, environ)
        tart = self._host.tart_in(TartHome.default(environ))
        self._watches = TartWatches(context.clock, self._timings.tool_check_interval, tart.program)
        self._monitor = VmMonitor(
            context.clock,
            self._timings,
            exit_descriptor,
            self._on_end,
            self._watches.check_tart,
            lambda error: self._watches.report_to_all(WatchCrashed(error)),
        )
        self._starter = VmStarter(self._host, self._monitor)

    def add_home_of(self, settings: ScaleSetSettings) -> None:
        """VMs of ours may lie in the TART_HOME of this scale set."""
        self._host.tart_of(settings)

    # -- Backend ------------------------------------------------------------------------------------

    def check(self, settings: ScaleSetSettings) -> list[Finding]:
        tart = self._host.tart_of(settings)
        return findings(tart, self._host.images, self._timings, settings, self._leases)

    def prepare(self, settings: ScaleSetSettings, progress: Progress, interrupt: Interrupt) -> None:
        """An unusable tart or image is refused here, once, and not again by each start."""
        tart = self._host.tart_of(settings)
        checks = Checks(tart, self._timings, settings)
        self._require(checks.check_tool(interrupt))
        self._require(checks.check_leases(self._leases))
        self._host.images.ensure(tart, settings.runner_image, progress, interrupt)
        self._require(checks.check_image_configuration())

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        return self._starter.start(order, interrupt)

    def remove(self, resource: Resource, *, force: bool, interrupt: Interrupt, grace: float = 0.0) -> None:
        interrupt.wait(0)
        record = self._host.inventory.find(resource.id) if resource.owner == self._owner else None
        if record is not None and (grace or not force) and self._ending_of(record) is None:
            if not force:
                raise BackendError(
                    f"{record.runner_name} still runs in VM {record.name}: removed by force only"
                )
            self._host.guest_of(record).terminate_runner(record.guest_pid, grace, interrupt)
        self._remove(resource.id, record, interrupt)

    def inventory(self) -> list[Resource]:
        """A runner that is not monitored yet is queried in its guest, and monitored from now on."""
        records = [record for record in self._host.inventory.records() if not record.is_warm]
        return [record.resource(self._ending_of(record)) for record in records]

    def logs(self, resource: Resource, tail: int, interrupt: Interrupt) -> bytes:
        """The runner's; if the VM does not run or does not answer, the output of `tart run`."""
        record = self._host.inventory.find(resource.id)
        if record is None or tail <= 0:
            return b""
        vm = self._host.vm_of(record)
        if vm.pid():
            try:
                return self._host.guest_of(record).log_tail(tail, interrupt)
            except BackendError as error:
                logger.bind(runner=resource.runner).debug("{}", error)
        return vm.run_output(tail)

    def runs_a_job(self, resource: Resource, interrupt: Interrupt) -> bool | None:
        record = self._host.inventory.find(resource.id)
        if record is None or not self._host.vm_of(record).pid():
            return False
        return self._host.guest_of(record).runs_a_job(interrupt)

    def watch(self, since: float, report: Callable[[Observation], None]) -> TartWatch:
        """Whatever ended before the watch began, the inventory tells, so `since` is not needed."""
        for record in self._host.inventory.records():
            if record.phase is Phase.RUNNING and record.ending is None and self._host.vm_of(record).pid():
                self._add_to_monitor(record)
        watch = self._watches.add(report)
        self._monitor.wake()
        return watch

    def disk_paths(self) -> list[Path]:
        return [home.path for home in self._host.inventory.homes()]

    def sweeps(self, settings: Sequence[ScaleSetSettings]) -> list[Sweep]:
        return sweeps_for(settings, self._host.tart_of, self._timings, self._closing)

    def close(self) -> None:
        self._closing.set()
        self._monitor.stop()
        self._host.slots.close()
        RUN_PROCESSES.forget_ended()

    # -- PlacedBackend --------------------------------------------------------------------------------

    def warm_kind(self, settings: ScaleSetSettings) -> str:
        return kind_of(self._host, settings)

    def claim_place(self, most: int, but: Collection[int] = ()) -> Place | None:
        return self._host.slots.claim(most, but)

    def return_place(self, place: Place) -> None:
        self._host.slots.release(place)

    def claimed_places(self) -> list[Place]:
        return self._host.slots.claimed()

    def place_holders(self) -> str:
        return self._host.slots.holders()

    def make_warm(self, settings: ScaleSetSettings, place: Place, interrupt: Interrupt) -> WarmResource:
        return self._starter.make_warm(settings, place, interrupt)

    def warm_resources(self) -> list[WarmResource]:
        records = [record for record in self._host.inventory.records() if record.is_warm]
        return [record.warm() for record in records if self._kept_warm(record)]

    def remove_warm(self, warm: WarmResource, interrupt: Interrupt) -> None:
        interrupt.wait(0)
        self._remove(warm.id, self._host.inventory.find(warm.id), interrupt)

    # -- private --------------------------------------------------------------------------------------

    def _require(self, found: Iterable[Finding]) -> None:
        """Raises the first error. Logs each warning once in the life of this backend."""
        for finding in found:
            if finding.level is Level.ERROR:
                raise BackendError(finding.message, fixes=finding.fixes)
            if finding.level is Level.WARNING and finding.message not in self._warned:
                self._warned.add(finding.message)
                logger.warning("{}", finding.message)

    def _ending_of(self, record: VmRecord) -> Ending | None:
        """None if the runner runs. One that is not known to run counts as ended, so that it is removed."""
        if record.phase is not Phase.RUNNING or record.ending is not None:
            return record.ending or Ending(at=self._host.clock.wall())
        if not self._host.vm_of(record).pid():
            return self._monitor.ending(record.name) or Ending(at=self._host.clock.wall())
        if record.name in self._monitor:
            return self._monitor.ending(record.name)
        return self._query_runner(record)

    def _query_runner(self, record: VmRecord) -> Ending | None:
        """A runner whose guest does not answer counts as running; the monitor will tell."""
        try:
            runner = self._host.guest_of(record).runner_state(record.guest_pid)
        except BackendError as error:
            logger.bind(runner=record.runner_name).debug("{}", error)
        else:
            if not runner.is_running:
                return Ending(runner.exit_code, at=self._host.clock.wall())
        self._add_to_monitor(record)
        return None

    def _add_to_monitor(self, record: VmRecord) -> None:
        if record.name not in self._monitor:
            self._monitor.add(record, self._host.tart_at(record))

    def _remove(self, name: str, record: VmRecord | None, interrupt: Interrupt) -> None:
        self._monitor.discard(name)
        if record is not None:
            with logger.contextualize(runner=record.runner_name):
                self._host.remove(record, interrupt)

    def _kept_warm(self, record: VmRecord) -> bool:
        """Monitors it if it can still be used; else removes it and returns False."""
        vm = self._host.vm_of(record)
        if record.phase is Phase.POOLED and vm.pid():
            answers = vm.socket is not None and agent_answers_on(vm.socket, self._timings.socket_probe)
            seconds = self._timings.exec_probe
            if answers or self._host.guest_of(record).answers_exec(Interrupt(), seconds):
                self._add_to_monitor(record)
                return True
        logger.info("warm VM {} of an earlier process cannot be used any more: removing it", vm.name)
        self._host.discard(record)
        return False

    def _on_end(self, record: VmRecord, ending: Ending | None) -> None:
        """On the monitor's thread. The ending is recorded for the next process."""
        key = ScaleSetKey(record.url, record.group, record.scale_set) if record.runner_name else None
        if ending is not None and key is not None:
            with suppress(OSError):
                write_record(self._host.vm_of(record), record.model_copy(update={"ending": ending}))
        self._watches.report(ResourceEnded(record.name, ending, key))
