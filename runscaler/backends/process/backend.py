"""The process backend: `Backend` over directories and processes of this host."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psutil
from loguru import logger

from runscaler.backends.base import StartStep
from runscaler.backends.certificates import read_certificates
from runscaler.backends.process.launch import command_of, environment, launch, populate, require_program
from runscaler.backends.process.process_tree import RUNNER_PROCESSES
from runscaler.backends.process.runner_directory import Marks
from runscaler.backends.process.runner_inventory import RunnerInventory
from runscaler.backends.process.termination import terminate
from runscaler.backends.process.watch import ProcessWatch
from runscaler.backends.process_exit import open_exit_descriptor
from runscaler.errors import BackendError, StartFailed
from runscaler.findings import Finding, Level
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runscaler.backends.base import BackendContext, Observation, Progress, Resource, RunnerOrder, Sweep
    from runscaler.backends.process.runner_directory import RunnerDirectory
    from runscaler.backends.process_exit import ExitDescriptor
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import JitConfig


class ProcessBackend:
    """Runners as processes; see `Backend`. Those without an `exit_descriptor` are polled for their end."""

    name = "process"

    def __init__(
        self,
        context: BackendContext,
        *,
        exit_descriptor: Callable[[int], ExitDescriptor | None] = open_exit_descriptor,
    ) -> None:
        self._owner = context.owner
        self._clock = context.clock
        self._inventory = RunnerInventory(context)
        self._exit_descriptor = exit_descriptor
        self._lock = threading.Lock()
        self._watches: list[ProcessWatch] = []

    def check(self, settings: ScaleSetSettings) -> list[Finding]:
        try:
            require_program(settings)
        except StartFailed as error:
            return [Finding(Level.ERROR, str(error), error.fixes, settings.name)]
        message = f"runners run as processes of user {psutil.Process().username()}, with all its rights"
        return [Finding(Level.OK, message, scale_set=settings.name)]

    def prepare(self, settings: ScaleSetSettings, progress: Progress, interrupt: Interrupt) -> None:
        """There is nothing to fetch."""
        interrupt.wait(0)

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        def check_time() -> None:
            interrupt.wait(0)
            if self._clock.monotonic() >= order.deadline:
                raise StartFailed(f"{order.runner} did not run in time")

        check_time()
        require_program(order.settings)
        with ExitStack() as starting, ExitStack() as undo:
            with _as_start_failed(order):
                directory = starting.enter_context(self._inventory.starting(order.runner))
                marks = self._create(directory, order, check_time, undo)
            order.reached(StartStep.CREATED)
            jit = order.jit()
            check_time()
            with _as_start_failed(order):
                marks = self._launch(directory, marks, order, jit)
            undo.pop_all()
        for watch in self._active_watches():
            watch.follow(directory.id, marks.pid)
        return marks.resource()

    def remove(self, resource: Resource, *, force: bool, interrupt: Interrupt, grace: float = 0.0) -> None:
        interrupt.wait(0)
        with _as_backend_error(f"remove {resource.id}"):
            directory = self._inventory.directory(resource.id)
            marks = self._inventory.current_marks(directory) if directory else None
            if directory is None or (marks is None and not force):
                return
            if marks is not None and marks.ending is None and not force:
                raise BackendError(f"{resource.id} still runs: it is removed by force only")
            if marks is not None and marks.ending is None and grace:
                tree = self._inventory.process_tree(directory, marks)
                terminate(tree, grace, self._clock, interrupt, self._exit_descriptor)
            self._inventory.remove(directory, marks, interrupt)

    def inventory(self) -> list[Resource]:
        with _as_backend_error("list the runners"):
            return [marks.resource() for marks in self._inventory.all_marks()]

    def logs(self, resource: Resource, tail: int, interrupt: Interrupt) -> bytes:
        interrupt.wait(0)
        with _as_backend_error(f"read the output of {resource.id}"):
            directory = self._inventory.directory(resource.id)
            return directory.tail(tail) if directory else b""

    def runs_a_job(self, resource: Resource, interrupt: Interrupt) -> bool | None:
        interrupt.wait(0)
        with _as_backend_error(f"look into {resource.id}"):
            directory = self._inventory.directory(resource.id)
            if directory is None:
                return False
            return self._inventory.process_tree(directory, directory.marks()).runs_a_job()

    def watch(self, since: float, report: Callable[[Observation], None]) -> ProcessWatch:
        """Whatever ended before the watch began, the inventory tells, so `since` is not needed."""
        watch = ProcessWatch(self._running, self._find, report, self._exit_descriptor)
        with self._lock:
            self._watches.append(watch)
        watch.start()
        return watch

    def disk_paths(self) -> list[Path]:
        return [self._inventory.base()]

    def sweeps(self, settings: Sequence[ScaleSetSettings]) -> list[Sweep]:
        return []

    def close(self) -> None:
        for watch in self._active_watches():
            watch.stop()
        self._inventory.close()

    def _create(
        self, directory: RunnerDirectory, order: RunnerOrder, check_time: Callable[[], None], undo: ExitStack
    ) -> Marks:
        """Everything but the process, which needs the JIT configuration."""
        marks = Marks(
            owner=self._owner,
            url=order.key.url,
            group=order.key.group,
            scale_set=order.key.name,
            slot=order.slot,
            runner=order.runner,
            created_at=self._clock.wall(),
        )
        directory.create(marks)
        undo.callback(self._discard, directory)
        populate(directory.work, order.settings, check_time)
        if order.settings.ca:
            directory.write_certificates(*read_certificates(order.settings.ca, order.runner))
        return marks

    def _launch(self, directory: RunnerDirectory, marks: Marks, order: RunnerOrder, jit: JitConfig) -> Marks:
        marks = marks.model_copy(update={"runner_id": jit.runner_id})
        directory.write_marks(marks)
        mark = self._inventory.mark_of(directory)
        variables = environment(order.settings, mark, directory, os.environ)
        popen = launch(directory, command_of(order.settings), variables, jit.encoded)
        RUNNER_PROCESSES.add(mark, popen)
        marks = marks.with_process(popen.pid, psutil.Process(popen.pid).create_time())
        directory.write_marks(marks)
        return marks

    def _discard(self, directory: RunnerDirectory) -> None:
        """What a failed start leaves; if even that fails, the next inventory lists it as ended."""
        try:
            self._inventory.remove(directory, directory.marks(), Interrupt())
        except (OSError, psutil.Error, BackendError) as error:
            logger.warning("the remains of {}'s failed start cannot be removed yet: {}", directory.id, error)

    def _active_watches(self) -> list[ProcessWatch]:
        with self._lock:
            self._watches = [watch for watch in self._watches if not watch.stopped]
            return list(self._watches)

    def _running(self) -> dict[str, int]:
        with _as_backend_error("list the runners"):
            return {marks.runner: marks.pid for marks in self._inventory.all_marks() if marks.ending is None}

    def _find(self, runner: str) -> Resource | None:
        with _as_backend_error(f"look at {runner}"):
            directory = self._inventory.directory(runner)
            marks = self._inventory.current_marks(directory) if directory else None
            return marks.resource() if marks else None


@contextmanager
def _as_backend_error(doing: str) -> Iterator[None]:
    try:
        yield
    except (OSError, psutil.Error) as error:
        raise BackendError(f"cannot {doing}: {error}") from error


@contextmanager
def _as_start_failed(order: RunnerOrder) -> Iterator[None]:
    try:
        yield
    except (OSError, psutil.Error) as error:
        raise StartFailed(
            f"cannot start {order.runner}: {error}",
            fixes=("check runner-dir and run-command in [process]", "check the free space on the disk"),
        ) from error
