"""The process backend: `Backend` over directories and processes of this host."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psutil
from loguru import logger

from runscaler.backends.process.children import CHILDREN
from runscaler.backends.process.launch import command_of, environment, fill, launch, require_program
from runscaler.backends.process.runner_directory import Marks
from runscaler.backends.process.runner_inventory import RunnerInventory
from runscaler.backends.process.watch import ProcessWatch
from runscaler.errors import BackendError, StartFailed
from runscaler.findings import Finding, Level
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runscaler.backends.base import BackendContext, Observation, Progress, Resource, RunnerOrder, Sweep
    from runscaler.backends.process.runner_directory import RunnerDirectory
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import JitConfig

PIDFD_OPEN: Callable[[int], int] | None = getattr(os, "pidfd_open", None)


class ProcessKind:
    """All sets that use processes share one backend: there is one host."""

    def thing(self, settings: ScaleSetSettings) -> str:
        return "process"

    def open(self, settings: ScaleSetSettings, context: BackendContext) -> ProcessBackend:
        return ProcessBackend(context)


class ProcessBackend:
    """Runners as processes; see `Backend`. `pidfd_open` None: ends are looked for twice a second."""

    name = "process"

    def __init__(
        self, context: BackendContext, *, pidfd_open: Callable[[int], int] | None = PIDFD_OPEN
    ) -> None:
        self._owner = context.owner
        self._clock = context.clock
        self._homes = RunnerInventory(context)
        self._pidfd_open = pidfd_open
        self._lock = threading.Lock()
        self._watches: list[ProcessWatch] = []

    def check(self, settings: ScaleSetSettings) -> list[Finding]:
        try:
            require_program(settings)
        except StartFailed as error:
            return [Finding(Level.ERROR, str(error), error.fixes, settings.name)]
        said = f"runners run as processes of user {psutil.Process().username()}, with all its rights"
        return [Finding(Level.OK, said, scale_set=settings.name)]

    def prepare(self, settings: ScaleSetSettings, progress: Progress, interrupt: Interrupt) -> None:
        """There is nothing to fetch."""
        interrupt.wait(0)

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        def go_on() -> None:
            interrupt.wait(0)
            if self._clock.monotonic() >= order.deadline:
                raise StartFailed(f"{order.runner} did not run in time")

        go_on()
        require_program(order.settings)
        with ExitStack() as held, ExitStack() as undo:
            with _as_failed_start(order):
                home = held.enter_context(self._homes.starting(order.runner))
                marks = self._made(home, order, go_on, undo)
            jit = order.jit()
            go_on()
            with _as_failed_start(order):
                marks = self._launched(home, marks, order, jit)
            undo.pop_all()
        for watch in self._watching():
            watch.follow(home.id, marks.pid)
        return marks.resource()

    def remove(self, resource: Resource, *, force: bool, interrupt: Interrupt) -> None:
        interrupt.wait(0)
        with _translated(f"remove {resource.id}"):
            home = self._homes.home(resource.id)
            marks = self._homes.state(home) if home else None
            if home is None or (marks is None and not force):
                return
            if marks is not None and marks.ending is None and not force:
                raise BackendError(f"{resource.id} still runs: it is removed by force only")
            self._homes.remove(home, marks, interrupt)

    def inventory(self) -> list[Resource]:
        with _translated("list the runners"):
            return [marks.resource() for marks in self._homes.listed()]

    def logs(self, resource: Resource, tail: int, interrupt: Interrupt) -> bytes:
        interrupt.wait(0)
        with _translated(f"read the output of {resource.id}"):
            home = self._homes.home(resource.id)
            return home.tail(tail) if home else b""

    def runs_a_job(self, resource: Resource, interrupt: Interrupt) -> bool | None:
        interrupt.wait(0)
        with _translated(f"look into {resource.id}"):
            home = self._homes.home(resource.id)
            return home is not None and self._homes.tree(home, home.marks()).runs_a_job()

    def watch(self, since: float, report: Callable[[Observation], None]) -> ProcessWatch:
        """What ended before the watch began is the inventory's to tell, whatever `since` says."""
        watch = ProcessWatch(self._running, self._look, report, self._pidfd_open)
        with self._lock:
            self._watches.append(watch)
        watch.start()
        return watch

    def sweeps(self, settings: Sequence[ScaleSetSettings]) -> list[Sweep]:
        return []

    def close(self) -> None:
        for watch in self._watching():
            watch.stop()
        self._homes.close()

    def _made(
        self, home: RunnerDirectory, order: RunnerOrder, go_on: Callable[[], None], undo: ExitStack
    ) -> Marks:
        """The directory, its marks and what is run in it, but for the JIT configuration."""
        marks = Marks(
            owner=self._owner,
            url=order.key.url,
            group=order.key.group,
            scale_set=order.key.name,
            slot=order.slot,
            runner=order.runner,
            created_at=self._clock.wall(),
        )
        home.make(marks)
        undo.callback(self._discard, home)
        fill(home.work, order.settings, go_on)
        return marks

    def _launched(self, home: RunnerDirectory, marks: Marks, order: RunnerOrder, jit: JitConfig) -> Marks:
        marks = marks.model_copy(update={"runner_id": jit.runner_id})
        home.mark(marks)
        mark = self._homes.mark_of(home)
        variables = environment(order.settings, mark, os.environ)
        popen = launch(home, command_of(order.settings), variables, jit.encoded)
        CHILDREN.add(mark, popen)
        return self._homes.note_process(home, marks, popen.pid, psutil.Process(popen.pid).create_time())

    def _discard(self, home: RunnerDirectory) -> None:
        """What a failed start leaves; where even that fails, the next inventory lists it as ended."""
        try:
            self._homes.remove(home, home.marks(), Interrupt())
        except (OSError, psutil.Error, BackendError) as error:
            logger.warning("what the failed start of {} left stays for now: {}", home.id, error)

    def _watching(self) -> list[ProcessWatch]:
        with self._lock:
            self._watches = [watch for watch in self._watches if not watch.stopped]
            return list(self._watches)

    def _running(self) -> dict[str, int]:
        with _translated("list the runners"):
            return {marks.runner: marks.pid for marks in self._homes.listed() if marks.ending is None}

    def _look(self, runner: str) -> Resource | None:
        with _translated(f"look at {runner}"):
            home = self._homes.home(runner)
            marks = self._homes.state(home) if home else None
            return marks.resource() if marks else None


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except (OSError, psutil.Error) as error:
        raise BackendError(f"cannot {doing}: {error}") from error


@contextmanager
def _as_failed_start(order: RunnerOrder) -> Iterator[None]:
    try:
        yield
    except (OSError, psutil.Error) as error:
        raise StartFailed(
            f"cannot start {order.runner}: {error}",
            fixes=("look at runner-dir and run-command in [process]", "look at the free space on the disk"),
        ) from error
