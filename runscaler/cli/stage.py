"""The demo without a word printed: simulated GitHub, a daemon, a stream of jobs, then an empty stage."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

from runscaler.autoscaler import Autoscaler
from runscaler.cli.furnishing import Furnished, furnished
from runscaler.cli.scenery import Scene
from runscaler.clock import SystemClock
from runscaler.errors import HostError
from runscaler.events import Event, RunnerStarted
from runscaler.ops.demo import ORGANISATION, SCALE_SET, demo_config, free_port, leftovers
from runscaler.simulator.options import Options
from runscaler.simulator.records import JobSpec, JobState, RunnerState, Step
from runscaler.simulator.server import SimulatorServer
from runscaler.simulator.timers import FAST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from runscaler.backends.base import Progress
    from runscaler.config.model import Config
    from runscaler.ops.demo import Ground
    from runscaler.ops.demo_jobs import DemoJob
    from runscaler.simulator.machine import Machine
    from runscaler.simulator.records import Job

GONE = RunnerState.GONE
LOOK_EVERY = 0.1
READY_WITHIN = 30.0
STUCK_AFTER = 60.0
"""Seconds in which no job ended before the demo gives up."""


class Stage:
    """Everything is started on entering and removed on leaving, however that comes about.

    What it found (`left_here`, `left_at_github`, `violations`, `failures`) is known after leaving.
    """

    def __init__(
        self,
        ground: Ground,
        jobs: Sequence[DemoJob],
        progress: Progress,
        *,
        max_runners: int,
        seed: int,
    ) -> None:
        self.clock = SystemClock(seed)
        self.left_here: list[str] = []
        self.left_at_github: list[str] = []
        self.violations: list[str] = []
        self.failures: list[str] = []
        self.runners_started = 0
        self.first_job_seconds: float | None = None
        self._given = ground
        self._progress = progress
        self._max_runners = max_runners
        self._furnished = Furnished(ground)
        self._jobs = list(jobs)
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._home = tempfile.TemporaryDirectory(prefix="runner-demo-", ignore_cleanup_errors=True)
        port = free_port(ground.listen)
        options = Options(timers=FAST, agent_url=f"http://{ground.agent_host}:{port}")
        self._github = SimulatorServer(options, host=ground.listen, port=port, seed=seed)
        self.port = free_port()
        self._folder = Path(self._home.name).resolve()
        self._state_dir = self._folder / "state"
        self._began = self._began_wall = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._home.cleanup)
            made = furnished(self._given, self._folder, self._progress)
            self._furnished = undo.enter_context(made)
            undo.callback(self._look_here)
            self._github.start()
            undo.callback(self._github.stop)
            undo.callback(self._look_at_github)
            self._daemon = Autoscaler(self._config())
            self._daemon.subscribe(self._events.put)
            self._daemon.start()
            undo.callback(self._daemon.stop)
            self._undo = undo.pop_all()
        return self

    def _config(self) -> Config:
        return demo_config(
            self._furnished.ground,
            self._github.url,
            self._state_dir,
            max_runners=self._max_runners,
            port=self.port,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def play(self, show: Callable[[Scene], None]) -> Scene:
        """Queue the jobs as they come and show every moment until the last one ended; returns that one.

        Raises `HostError` when the daemon does not get ready, gives up or gets nowhere.
        """
        if not self._daemon.wait_ready(READY_WITHIN):
            raise HostError(f"the daemon was not ready within {READY_WITHIN:.0f} s{self._why()}")
        self._began, self._began_wall = self.clock.monotonic(), self.clock.wall()
        moved, ended = self._began, 0
        while True:
            scene = self._look()
            show(scene)
            if scene.is_over:
                return scene
            if scene.done + scene.failed > ended:
                moved, ended = self.clock.monotonic(), scene.done + scene.failed
            if self.clock.monotonic() - moved > STUCK_AFTER:
                raise HostError(f"no job ended for {STUCK_AFTER:.0f} s{self._why()}")
            if reason := self._daemon.wait(LOOK_EVERY):
                raise HostError(reason)

    def _look(self) -> Scene:
        now = self.clock.monotonic() - self._began
        with self._github.lock as machine:
            for job in [job for job in self._jobs if job.at <= now]:
                machine.jobs.queue(_order(job))
                self._jobs.remove(job)
            jobs = list(machine.store.jobs.values())
            states = Counter(job.state for job in jobs)
            good = sum(job.result == "succeeded" for job in jobs)
        ended, running = states[JobState.COMPLETED], states[JobState.RUNNING]
        return Scene(
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

    def _look_at_github(self) -> None:
        """The daemon has stopped: what does GitHub still know, and how did the jobs end?"""
        self._new_events()
        with self._github.lock as machine:
            self._judge(machine)

    def _judge(self, machine: Machine) -> None:
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

    def _look_here(self) -> None:
        left = leftovers(self._furnished.ground, self._state_dir)
        self.left_here = [*left, *self._furnished.leftovers()]


def _order(job: DemoJob) -> JobSpec:
    return JobSpec(
        scope=ORGANISATION,
        labels=(SCALE_SET,),
        steps=tuple(Step(name, script) for name, script in job.steps),
        display_name=job.name,
        repository=f"{ORGANISATION}/app",
    )


def _failure(job: Job) -> str:
    """Which job failed, at which step, and its last words."""
    for step, record in zip(job.spec.steps, job.steps, strict=True):
        if record.state == "failed":
            last = record.lines[-1] if record.lines else "no output"
            return f"{job.spec.display_name}: step {step.name} ended with {record.exit_code}: {last}"
    return f"{job.spec.display_name}: {job.result}"
