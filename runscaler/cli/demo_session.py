"""One run of the demo, without its output: a simulated GitHub, a daemon and jobs, removed at the end."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, nullcontext
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

from runscaler.autoscaler import Autoscaler
from runscaler.cli.demo_setup import PreparedTarget, prepared
from runscaler.cli.demo_view import DemoSnapshot
from runscaler.clock import SystemClock
from runscaler.errors import HostError
from runscaler.events import Event, RunnerStarted
from runscaler.interrupt import Interrupt
from runscaler.ops.demo import ORGANISATION, SCALE_SET, demo_config, free_port, leftovers
from runscaler.ops.demo_folder import STATE, demo_folder
from runscaler.simulator.options import Options
from runscaler.simulator.records import JobSpec, JobState, RunnerState, Step
from runscaler.simulator.server import SimulatorServer
from runscaler.simulator.timers import FAST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from runscaler.backends.base import Progress
    from runscaler.config.model import Config
    from runscaler.ops.demo import DemoTarget
    from runscaler.ops.demo_jobs import DemoJob
    from runscaler.simulator.machine import Machine
    from runscaler.simulator.records import Job

GONE = RunnerState.GONE
SNAPSHOT_INTERVAL = 0.1
LAST_LOOK_SECONDS = 3.0
READY_TIMEOUT = 30.0
STUCK_SECONDS = 60.0
"""The demo gives up if no job ended for this long."""


class DemoSession:
    """A context manager: entering it starts everything, leaving it stops and removes everything.

    The removal happens within `uninterrupted()`.

    `left_on_host`, `left_at_github`, `violations` and `failures` are known after leaving.
    """

    def __init__(
        self,
        target: DemoTarget,
        jobs: Sequence[DemoJob],
        progress: Progress,
        *,
        max_runners: int,
        seed: int,
        uninterrupted: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.clock = SystemClock(seed)
        self.left_on_host: list[str] = []
        self.left_at_github: list[str] = []
        self.violations: list[str] = []
        self.failures: list[str] = []
        self.runners_started = 0
        self.first_job_seconds: float | None = None
        self._target = target
        self._progress = progress
        self._max_runners = max_runners
        self._prepared = PreparedTarget(target)
        self._jobs = list(jobs)
        self._events: SimpleQueue[Event] = SimpleQueue()
        port = free_port(target.listen)
        options = Options(timers=FAST, agent_url=f"http://{target.agent_host}:{port}")
        self._github = SimulatorServer(
            options, host=target.listen, port=port, seed=seed, networks=target.networks
        )
        self.port = free_port()
        self._uninterrupted = uninterrupted
        self._state_dir = Path()
        self._began = self._began_wall = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            folder = cleanup.enter_context(demo_folder(self._target))
            self._state_dir = folder / STATE
            made = prepared(self._target, folder, self._progress)
            self._prepared = cleanup.enter_context(made)
            cleanup.callback(self._inspect_host)
            cleanup.callback(self._github.stop)
            self._github.start()
            cleanup.callback(self._inspect_github)
            self._daemon = Autoscaler(self._config())
            self._daemon.subscribe(self._events.put)
            cleanup.callback(self._daemon.stop)
            self._daemon.start()
            self._cleanup = cleanup.pop_all()
        return self

    def _config(self) -> Config:
        return demo_config(
            self._prepared.target,
            self._github.url,
            self._state_dir,
            max_runners=self._max_runners,
            port=self.port,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._uninterrupted():
            self._cleanup.close()

    def play(self, show: Callable[[DemoSnapshot], None]) -> DemoSnapshot:
        """Queue the jobs and show snapshots until the last job has ended; returns the last snapshot.

        Raises `HostError` if the daemon does not become ready, gives up, or finishes no job for a minute.
        """
        if not self._daemon.wait_ready(READY_TIMEOUT):
            raise HostError(f"the daemon was not ready within {READY_TIMEOUT:.0f} s{self._why()}")
        self._began, self._began_wall = self.clock.monotonic(), self.clock.wall()
        moved, ended = self._began, 0
        while True:
            snapshot = self._take_snapshot()
            show(snapshot)
            if snapshot.is_over:
                return snapshot
            if snapshot.done + snapshot.failed > ended:
                moved, ended = self.clock.monotonic(), snapshot.done + snapshot.failed
            if self.clock.monotonic() - moved > STUCK_SECONDS:
                raise HostError(f"no job ended for {STUCK_SECONDS:.0f} s{self._why()}")
            if reason := self._daemon.wait(SNAPSHOT_INTERVAL):
                raise HostError(reason)

    def _take_snapshot(self) -> DemoSnapshot:
        now = self.clock.monotonic() - self._began
        with self._github.lock as machine:
            for job in [job for job in self._jobs if job.at <= now]:
                machine.jobs.queue(_order(job))
                self._jobs.remove(job)
            jobs = list(machine.store.jobs.values())
            states = Counter(job.state for job in jobs)
            good = sum(job.result == "succeeded" for job in jobs)
        ended, running = states[JobState.COMPLETED], states[JobState.RUNNING]
        return DemoSnapshot(
            seconds=now,
            total=len(jobs) + len(self._jobs),
            queued=len(jobs),
            waiting=len(jobs) - ended - running,
            running=running,
            done=good,
            failed=ended - good,
            status=self._daemon.status(),
            events=tuple(self._new_events()),
        )

    def _new_events(self) -> list[Event]:
        events: list[Event] = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except Empty:
                self.runners_started += sum(isinstance(one, RunnerStarted) for one in events)
                return events

    def _why(self) -> str:
        reasons = [one.reason for one in self._daemon.status().scale_sets if one.reason]
        return f": {'; '.join(reasons)}" if reasons else ""

    def _inspect_github(self) -> None:
        """After the daemon has stopped: what is left at GitHub, and how did the jobs end?"""
        self._new_events()
        with self._github.lock as machine:
            self._record_findings(machine)

    def _record_findings(self, machine: Machine) -> None:
        store = machine.store
        self.violations = [str(one) for one in machine.final_violations()]
        self.left_at_github = [
            *(f"scale set {one.name} at GitHub" for one in store.scale_sets.values() if one.live),
            *(f"session {one.id} at GitHub" for one in store.sessions.values() if one.live),
            *(f"runner {one.name} at GitHub" for one in store.runners.values() if one.state is not GONE),
        ]
        ended = [job for job in store.jobs.values() if job.state is JobState.COMPLETED]
        self.failures = [_failure(job) for job in ended if job.result != "succeeded"]
        if good := [job.finished_at for job in ended if job.result == "succeeded"]:
            self.first_job_seconds = min(good) - self._began_wall

    def _inspect_host(self) -> None:
        """What is about to go when its daemon had to stop at once is not left behind: look again for it."""
        left = self._leftovers()
        until = self.clock.monotonic() + LAST_LOOK_SECONDS
        while left and self.clock.monotonic() < until:
            self.clock.pause(SNAPSHOT_INTERVAL, Interrupt())
            left = self._leftovers()
        self.left_on_host = left

    def _leftovers(self) -> list[str]:
        left = leftovers(self._prepared.target, self._state_dir)
        return [*left, *self._prepared.leftovers()]


def _order(job: DemoJob) -> JobSpec:
    return JobSpec(
        scope=ORGANISATION,
        labels=(SCALE_SET,),
        steps=tuple(Step(name, script) for name, script in job.steps),
        display_name=job.name,
        repository=f"{ORGANISATION}/app",
    )


def _failure(job: Job) -> str:
    """The job that failed, the step, and its last line of output."""
    for step, record in zip(job.spec.steps, job.steps, strict=True):
        if record.state == "failed":
            last = record.lines[-1] if record.lines else "no output"
            return f"{job.spec.display_name}: step {step.name} ended with {record.exit_code}: {last}"
    return f"{job.spec.display_name}: {job.result}"
