"""Dispatch: queued jobs are assigned to scale sets, assigned jobs are offered to runners
(docs/protocol.md § 9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.github.messages import JobAssigned, JobAvailable, JobCompleted
from runscaler.simulator.options import Flavour
from runscaler.simulator.records import JobState, RunnerState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.simulator.message_queue import MessageQueue
    from runscaler.simulator.records import Job, Runner, ScaleSet
    from runscaler.simulator.store import Store

MAX_ATTEMPTS = 3


class Dispatch:
    """`place` finds a scale set for a job, `fill` finds jobs for a scale set, `offer` finds runners for
    assigned jobs."""

    def __init__(self, store: Store, message_queue: MessageQueue) -> None:
        self._store = store
        self._message_queue = message_queue
        self._acquire = store.options.flavour is Flavour.ACQUIRE

    def place(self, job: Job) -> None:
        """Give a queued job to a scale set that has room for it."""
        live = self._store.live_sets(job.spec.scope)
        candidates = [one for one in live if self._has_room(one) and one.matches(job)]
        if not candidates:
            return
        if self._store.options.spread:
            candidates.sort(key=lambda one: (one.assigned + one.jobs[JobState.AVAILABLE], one.id))
        self._give(job, candidates[0])

    def fill(self, scale_set: ScaleSet) -> None:
        """Give a scale set as many waiting jobs as it has room for, oldest first."""
        while scale_set.room > 0 and scale_set.acquired:
            self._assign(next(iter(scale_set.acquired.values())), scale_set)
        while (job := self._oldest_for(scale_set)) is not None:
            self._give(job, scale_set)
        self.offer(scale_set)

    def acquire(self, scale_set: ScaleSet, numbers: Sequence[int]) -> list[int]:
        """Acquire these offered jobs (flavour B); the answer leaves out those no longer on offer."""
        jobs = [scale_set.offers[number] for number in numbers if number in scale_set.offers]
        for job in jobs:
            self._store.move_job(job, JobState.ACQUIRED, scale_set)
        self.fill(scale_set)
        return [job.number for job in jobs]

    def lose_offer(self, job: Job) -> None:
        """Let another scale set acquire the job (fault F56); it is not offered to this one again."""
        if job.scale_set is not None:
            job.refused_by.add(job.scale_set.id)
        self._store.move_job(job, JobState.QUEUED, None)
        self.place(job)

    def offer(self, scale_set: ScaleSet) -> None:
        """Offer waiting jobs to idle runners that poll, the oldest to the oldest."""
        while scale_set.waiting and scale_set.ready and not scale_set.ignored:
            self._pair(next(iter(scale_set.waiting.values())), scale_set.ready[min(scale_set.ready)])

    def hand_over(self, job: Job) -> bool:
        """Offer this waiting job to the oldest idle runner, also while others are offered to none; False if
        no runner is idle."""
        scale_set = job.scale_set
        if scale_set is None or job.id not in scale_set.waiting or not scale_set.ready:
            return False
        self._pair(job, scale_set.ready[min(scale_set.ready)])
        return True

    def _pair(self, job: Job, runner: Runner) -> None:
        del runner.scale_set.waiting[job.id]
        del runner.scale_set.ready[runner.id]
        job.runner, runner.job = runner, job
        job.version += 1
        if job.never_begins:
            return
        version = job.version
        self._store.deadlines.after(self._store.timers.pick_up, lambda: self._not_picked_up(job, version))
        self._store.wake_runner(runner)

    def take_back(self, runner: Runner) -> None:
        """Take the job that the runner was offered, and offer it to the next runner."""
        job = runner.job
        if job is None or job.state is not JobState.ASSIGNED or job.scale_set is None:
            return
        runner.job = job.runner = None
        job.version += 1
        job.scale_set.waiting = {job.id: job, **job.scale_set.waiting}
        self.offer(job.scale_set)

    def _not_picked_up(self, job: Job, version: int) -> None:
        if job.version == version and job.runner is not None:
            runner = job.runner
            if runner.state is RunnerState.IDLE:
                self._store.move_runner(runner, RunnerState.OFFLINE)
            self.take_back(runner)

    def _has_room(self, scale_set: ScaleSet) -> bool:
        if scale_set.session is None:
            return False
        return scale_set.capacity > 0 if self._acquire else scale_set.room > 0

    def _oldest_for(self, scale_set: ScaleSet) -> Job | None:
        if not self._has_room(scale_set):
            return None
        heads = (
            next((job for job in jobs.values() if scale_set.id not in job.refused_by), None)
            for labels, jobs in self._store.queued.get(scale_set.scope, {}).items()
            if scale_set.serves(labels)
        )
        return min((job for job in heads if job is not None), key=lambda job: job.number, default=None)

    def _give(self, job: Job, scale_set: ScaleSet) -> None:
        if not self._acquire:
            self._assign(job, scale_set)
            return
        self._store.move_job(job, JobState.AVAILABLE, scale_set)
        self._message_queue.add_event(scale_set, JobAvailable, job)

    def _assign(self, job: Job, scale_set: ScaleSet) -> None:
        job.assigned_at = self._store.clock.wall()
        job.attempts += 1
        self._store.move_job(job, JobState.ASSIGNED, scale_set)
        attempt = job.attempts
        self._store.deadlines.after(self._store.timers.start, lambda: self._not_started(job, attempt))
        self._message_queue.add_event(scale_set, JobAssigned, job)
        self.offer(scale_set)

    def _not_started(self, job: Job, attempt: int) -> None:
        if job.state is JobState.ASSIGNED and job.attempts == attempt:
            self.withdraw(job)

    def withdraw(self, job: Job) -> None:
        """Take back an assignment that no runner started: the job is queued again, and fails the third
        time."""
        if job.attempts >= MAX_ATTEMPTS:
            self.finish(job, "failed")
            return
        scale_set = self._release_runner(job)
        if scale_set is None:
            return
        job.assigned_at = 0.0
        self._message_queue.add_event(scale_set, JobCompleted, job, result="canceled")
        self.requeue(job)
        self.fill(scale_set)

    def requeue(self, job: Job) -> None:
        """Queue a job again whose offer or assignment is void: the next one has a new jobId."""
        job.assigned_at, job.never_begins = 0.0, False
        self._store.move_job(job, JobState.QUEUED, None)
        self._store.renew_job_id(job)
        self.queue(job)

    def queue(self, job: Job) -> None:
        """A job has become queued: apply the capacity trap, then look for a scale set."""
        if self._store.options.capacity_trap:
            live = self._store.live_sets(job.spec.scope)
            job.refused_by.update(one.id for one in live if one.deaf and one.matches(job))
        self.place(job)

    def finish(self, job: Job, result: str) -> None:
        """Complete the job, whatever its state; its scale set is told and its runner released."""
        runner = job.runner if job.state is JobState.RUNNING else None
        scale_set = self._release_runner(job)
        job.result = result
        job.finished_at = self._store.clock.wall()
        self._store.move_job(job, JobState.COMPLETED, scale_set)
        if scale_set is None:
            return
        if not job.lingers:
            named = {"runner_id": runner.id, "runner_name": runner.name} if runner else {}
            self._message_queue.add_event(scale_set, JobCompleted, job, **named, result=result)
        self.fill(scale_set)

    def _release_runner(self, job: Job) -> ScaleSet | None:
        """Free the runner that has not started the job yet; returns the job's scale set."""
        if job.runner is not None and job.state is JobState.ASSIGNED:
            runner = job.runner
            job.runner = runner.job = None
            if runner.state is RunnerState.IDLE and runner.agent is not None and runner.agent.polls:
                runner.scale_set.ready[runner.id] = runner
        return job.scale_set
