"""One scale set inside `MemoryGitHub`: the state machine of docs/protocol.md § 9.3, flavour A, without I/O.

Nothing here locks: `MemoryGitHub` calls every method with its lock held. All operations take constant
time, whatever the number of jobs and runners.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runscaler.github.messages import (
    Batch,
    JobAssigned,
    JobCompleted,
    JobEvent,
    JobStarted,
    RunnerScaleSet,
    Statistics,
)
from runscaler.testing.memory_records import JobState, MemoryJob, MemoryRunner, MemorySession, RunnerState

if TYPE_CHECKING:
    import threading

EVENTS_IN_A_BATCH = 50
FIRST_BATCH_ID = 100_000_001


@dataclass(slots=True, eq=False)
class MemoryScaleSet:
    """A scale set with its jobs, registrations, session and message queue.

    `news` is notified whenever a poll may have something to return. `believed` are the counts that
    GitHub tells instead of the true ones, where a test wants it to lie.
    """

    id: int
    url: str
    name: str
    group_id: int
    labels: tuple[str, ...]
    news: threading.Condition
    live: bool = True
    session: MemorySession | None = None
    capacity: int = 0
    running: int = 0
    queued: OrderedDict[str, MemoryJob] = field(default_factory=OrderedDict)
    assigned: OrderedDict[str, MemoryJob] = field(default_factory=OrderedDict)
    runners: dict[int, MemoryRunner] = field(default_factory=dict)
    idle: OrderedDict[int, MemoryRunner] = field(default_factory=OrderedDict)
    events: deque[JobEvent] = field(default_factory=deque)
    problems: tuple[str, ...] = ()
    undeleted: OrderedDict[int, Batch] = field(default_factory=OrderedDict)
    last_batch_id: int = FIRST_BATCH_ID - 1
    believed: Statistics | None = None

    def described(self) -> RunnerScaleSet:
        labels = self.labels or (self.name,)
        return RunnerScaleSet(self.id, self.name, self.group_id, labels=labels, statistics=self.statistics())

    def statistics(self) -> Statistics:
        return self.believed or Statistics(
            assigned=len(self.assigned) + self.running,
            running=self.running,
            registered=len(self.runners),
            busy=self.running,
            idle=len(self.idle),
        )

    def wake(self) -> None:
        """Let a waiting poll look again; the one method that takes the lock itself."""
        with self.news:
            self.news.notify_all()

    def settle(self, now: float) -> list[MemoryRunner]:
        """Assign what capacity allows and hand it to idle runners, oldest first; those that got a job."""
        self._assign(now)
        given = []
        while self.assigned and self.idle:
            _, job = self.assigned.popitem(last=False)
            _, runner = self.idle.popitem(last=False)
            self._pick(job, runner, now)
            given.append(runner)
        return given

    def _assign(self, now: float) -> None:
        room = self.capacity - len(self.assigned) - self.running if self.session else 0
        while self.queued and room > 0:
            _, job = self.queued.popitem(last=False)
            job.state, job.assigned_at = JobState.ASSIGNED, now
            self.assigned[job.id] = job
            self.events.append(JobAssigned(**job.facts()))
            room -= 1

    def _pick(self, job: MemoryJob, runner: MemoryRunner, now: float) -> None:
        job.state, job.picked_at = JobState.PICKED, now
        job.runner_id, job.runner_name = runner.id, runner.name
        runner.state, runner.job = RunnerState.BUSY, job
        self.running += 1

    def online(self, runner: MemoryRunner) -> None:
        if runner.job is None:
            runner.state = RunnerState.IDLE
            self.idle[runner.id] = runner

    def started(self, runner: MemoryRunner) -> None:
        """The runner's agent has begun the job that it was given."""
        job = runner.job
        if job is not None and job.state is JobState.PICKED:
            job.state = JobState.RUNNING
            self.events.append(JobStarted(**job.facts(), runner_id=runner.id, runner_name=runner.name))

    def finished(self, runner: MemoryRunner, result: str, now: float) -> None:
        """The runner's job is over, and with it the registration."""
        job = runner.job
        self.forget(runner)
        if job is not None:
            self._complete(job, result, now)

    def withdraw(self, job: MemoryJob, now: float) -> None:
        """An assignment that no runner took in time: completed as canceled, then queued again."""
        if self.assigned.pop(job.id, None) is not None:
            self._say_completed(job, "canceled", now)
            job.state, job.assigned_at = JobState.QUEUED, None
            self.queued[job.id] = job

    def cancel(self, job: MemoryJob, now: float) -> None:
        """Cancelled before a runner had it; ending one that runs is its agent's part."""
        if self.queued.pop(job.id, None) is not None:
            job.state, job.result = JobState.COMPLETED, "canceled"
        elif self.assigned.pop(job.id, None) is not None:
            self._complete(job, "canceled", now)

    def vanished(self, runner: MemoryRunner) -> None:
        """The agent is no more. A job that it had not started is offered again; one that runs holds the
        registration busy, as its lease does."""
        job = runner.job
        if job is not None and job.state is JobState.RUNNING:
            return
        if job is not None:
            self._put_back(runner, job)
        self.idle.pop(runner.id, None)
        runner.state = RunnerState.OFFLINE

    def _put_back(self, runner: MemoryRunner, job: MemoryJob) -> None:
        runner.job = None
        self.running -= 1
        job.state, job.picked_at, job.runner_id, job.runner_name = JobState.ASSIGNED, None, 0, ""
        self.assigned[job.id] = job
        self.assigned.move_to_end(job.id, last=False)

    def forget(self, runner: MemoryRunner) -> None:
        """The registration is gone."""
        self.runners.pop(runner.id, None)
        self.idle.pop(runner.id, None)
        runner.state = RunnerState.GONE
        if runner.job is not None:
            runner.job = None
            self.running -= 1

    def end(self) -> list[MemoryRunner]:
        """The scale set is deleted: returns the runners that go with it; assigned jobs wait again."""
        self.live, self.session = False, None
        lost = [runner for runner in self.runners.values() if runner.job is None]
        for runner in lost:
            self.forget(runner)
        for job in self.assigned.values():
            job.state, job.assigned_at = JobState.QUEUED, None
        self.queued = OrderedDict([*self.assigned.items(), *self.queued.items()])
        self.assigned.clear()
        return lost

    def next_batch(self, after: int) -> Batch | None:
        """The oldest undeleted batch after that id with fresh counts, or a new one of at most 50 events."""
        for old in self.undeleted.values():
            if old.id > after:
                return Batch(old.id, self.statistics(), old.events, old.problems)
        if not self.events and not self.problems:
            return None
        count = min(len(self.events), EVENTS_IN_A_BATCH)
        events = tuple(self.events.popleft() for _ in range(count))
        self.last_batch_id += 1
        batch = Batch(self.last_batch_id, self.statistics(), events, self.problems)
        self.problems = ()
        self.undeleted[batch.id] = batch
        return batch

    def _complete(self, job: MemoryJob, result: str, now: float) -> None:
        job.state, job.result = JobState.COMPLETED, result
        self._say_completed(job, result, now)

    def _say_completed(self, job: MemoryJob, result: str, now: float) -> None:
        self.events.append(
            JobCompleted(
                **job.facts(),
                finished_at=now,
                result=result,
                runner_id=job.runner_id,
                runner_name=job.runner_name,
            )
        )
