"""Plays a recording: sends the recorded messages to the scale set of that name, one after the other.

Beside them GitHub's side stays as strict as ever. A recorded job runs on a runner that is registered now:
where its start was recorded, the replay hands it to one and waits until it runs, and puts that runner's name
and id in the place of the recorded ones; so it does with the job's end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from runscaler.github.messages import JobAvailable, JobCompleted, JobStarted
from runscaler.simulator.records import Job, JobSpec, JobState, Step, StepRecord
from runscaler.threads import keep_running

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from runscaler.github.messages import JobEvent
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.records import ScaleSet
    from runscaler.simulator.replay.recording import RecordedMessage, Recording
    from runscaler.simulator.violations import Violation

Ran = TypeVar("Ran", JobStarted, JobCompleted)

FOREVER = 86400.0
RUNNER_SECONDS = 30.0
"""How long a message waits for a runner that takes its job, or that ends it."""
FIRST_NUMBER = 1_000_001


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """`jobs` are recorded starts; `alone` those of them for which no runner came."""

    scale_set: str
    messages: int
    taken: int
    jobs: int
    alone: int
    violations: tuple[Violation, ...]

    @property
    def good(self) -> bool:
        return self.taken == self.messages and not self.violations

    def __str__(self) -> str:
        jobs = f"{self.jobs} jobs started" + (
            f", {self.alone} of them without a runner" if self.alone else ""
        )
        rules = "no rule broken" if not self.violations else f"{len(self.violations)} violations"
        return f"{self.scale_set}: {self.taken} of {self.messages} recorded messages taken; {jobs}; {rules}"


class Replay:
    """`on_begin` and `on_result` are called on a thread of its own, without the machine's lock."""

    def __init__(
        self,
        recording: Recording,
        lock: MachineLock,
        *,
        on_begin: Callable[[Recording], None] = lambda _: None,
        on_result: Callable[[ReplayResult], None] = lambda _: None,
    ) -> None:
        self.recording = recording
        self._lock, self._store = lock, lock.machine.store
        self._queue, self._dispatch = lock.machine.message_queue, lock.machine.dispatch
        self._on_begin, self._on_result = on_begin, on_result
        self._jobs: dict[str, Job] = {}
        """By their recorded jobId."""
        self._taken = self._started = self._alone = 0
        self._thread: threading.Thread | None = None
        self._queue.interceptors[-FIRST_NUMBER - id(self)] = self._without_own_events

    @property
    def finished(self) -> bool:
        return self._taken == len(self.recording.messages)

    def start(self) -> None:
        self._thread = keep_running(self._play, "simulator-replay")

    def join(self) -> None:
        """Wait for the thread, which ends when the machine's lock is closed."""
        if self._thread is not None:
            self._thread.join()

    def result(self) -> ReplayResult:
        with self._lock:
            violations = self._store.violations.all()
        messages = len(self.recording.messages)
        return ReplayResult(
            self.recording.scale_set, messages, self._taken, self._started, self._alone, violations
        )

    # -- playing ------------------------------------------------------------------------------------

    def _play(self) -> None:
        if not self._lock.watch(self._is_listened_to, FOREVER):
            return
        with self._lock:
            self._hold_jobs()
        self._on_begin(self.recording)
        for message in self.recording.messages[self._taken :]:
            self._lock.wait(f"replay/{id(self)}", lambda: None, message.pause)
            events = tuple(self._prepared(event) for event in message.events)
            if self._lock.closed or not self._is_taken(message, events):
                return
            self._taken += 1
            with self._lock:
                self._store.note("replay", scaleSet=self.recording.scale_set, taken=self._taken)
        self._on_result(self.result())

    def _is_taken(self, message: RecordedMessage, events: tuple[JobEvent, ...]) -> bool:
        """Send it; False if the simulator stops before the client has acknowledged it."""
        with self._lock:
            scale_set = self._scale_set()
            if scale_set is None:
                return False
            number = self._queue.replay(scale_set, events, message.statistics)
        return self._lock.watch(lambda: number not in scale_set.undeleted, FOREVER)

    def _hold_jobs(self) -> None:
        """No runner is offered a job before the message that tells of its start."""
        scale_set = self._scale_set()
        if scale_set is not None:
            scale_set.ignored = True

    def _scale_set(self) -> ScaleSet | None:
        return self._store.named_set(self.recording.scale_set)

    def _is_listened_to(self) -> bool:
        scale_set = self._scale_set()
        return scale_set is not None and scale_set.session is not None and scale_set.announced

    def _without_own_events(self, scale_set: ScaleSet, event: JobEvent) -> list[JobEvent]:
        """What happens now is not told: the recorded messages tell it."""
        return [] if scale_set is self._scale_set() else [event]

    # -- the recorded jobs --------------------------------------------------------------------------

    def _prepared(self, event: JobEvent) -> JobEvent:
        """The event as it is to be sent, once what it tells has happened."""
        match event:
            case JobAvailable():
                self._offer(event)
            case JobStarted():
                return self._begun(event)
            case JobCompleted(job_id=job_id) if event.runner_name and job_id in self._jobs:
                job = self._jobs[job_id]
                self._lock.watch(lambda: job.state is JobState.COMPLETED, RUNNER_SECONDS)
                return self._renamed(event, job)
            case JobCompleted(job_id=job_id) if job_id in self._jobs:
                self._withdraw(self._jobs[job_id])
        return event

    def _offer(self, event: JobAvailable) -> None:
        with self._lock:
            scale_set = self._scale_set()
            if scale_set is not None and event.request_id not in scale_set.offers:
                self._add(event, scale_set, JobState.AVAILABLE)

    def _begun(self, event: JobStarted) -> JobStarted:
        self._started += 1
        with self._lock:
            scale_set = self._scale_set()
            job = self._waiting(event, scale_set) if scale_set is not None else None
        if job is None:
            return event
        if self._lock.watch(lambda: self._runs(job), RUNNER_SECONDS):
            return self._renamed(event, job)
        self._alone += 1
        self._withdraw(job)
        return event

    def _waiting(self, event: JobStarted, scale_set: ScaleSet) -> Job:
        """The assigned job that begins now. Where it was offered, its jobId may be another since."""
        offered = (job for job in self._jobs.values() if event.request_id and job.number == event.request_id)
        job = self._jobs.get(event.job_id) or next(offered, None)
        if job is None or job.state is JobState.COMPLETED:
            return self._add(event, scale_set, JobState.ASSIGNED)
        if job.state is not JobState.ASSIGNED:
            self._store.move_job(job, JobState.ASSIGNED, scale_set)
        self._jobs[event.job_id] = job
        return job

    def _runs(self, job: Job) -> bool:
        """Hand the job to a runner as soon as one is idle."""
        self._dispatch.hand_over(job)
        return job.state in (JobState.RUNNING, JobState.COMPLETED)

    def _add(self, event: JobEvent, scale_set: ScaleSet, state: JobState) -> Job:
        now, identity = self._store.clock.wall(), self._store.uuid()
        seconds = self.recording.seconds_run(event.job_id)
        spec = JobSpec(
            scope=scale_set.scope,
            labels=(scale_set.name,),
            steps=(Step("as recorded", f"sleep {seconds:.1f}"),),
            display_name=event.display_name or "recorded job",
            repository=f"{event.owner}/{event.repository}",
        )
        job = Job(
            id=identity,
            job_id=identity,
            number=event.request_id or FIRST_NUMBER + len(self._jobs),
            spec=spec,
            labels=frozenset({scale_set.name.lower()}),
            run_id=event.run_id,
            queued_at=now,
            assigned_at=now,
            steps=[StepRecord()],
        )
        self._store.add_job(job)
        self._store.move_job(job, state, scale_set)
        self._jobs[event.job_id] = job
        return job

    def _withdraw(self, job: Job) -> None:
        with self._lock:
            if job.state not in (JobState.RUNNING, JobState.COMPLETED):
                self._dispatch.finish(job, "canceled")

    def _renamed(self, event: Ran, job: Job) -> Ran:
        runner = job.runner
        if runner is None:
            return event
        return replace(event, runner_id=runner.id, runner_name=runner.name)
