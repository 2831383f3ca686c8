"""Who gets which job: queued jobs go to scale sets, assigned ones to runners (docs/protocol.md § 9.3)."""

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

ATTEMPTS = 3


class Dispatch:
    """`place` looks for a job's set, `fill` for a set's jobs, `offer` for an assigned job's runner."""

    def __init__(self, store: Store, message_queue: MessageQueue) -> None:
        self._store = store
        self._message_queue = message_queue
        self._offers = store.options.flavour is Flavour.ACQUIRE

    def place(self, job: Job) -> None:
        """A job has just become queued: give it to a set that may have it."""
        there = self._store.live_sets(job.spec.scope)
        candidates = [one for one in there if self._has_room(one) and one.matches(job)]
        if not candidates:
            return
        if self._store.options.spread:
            candidates.sort(key=lambda one: (one.assigned + one.jobs[JobState.AVAILABLE], one.id))
        self._give(job, candidates[0])

    def fill(self, scale_set: ScaleSet) -> None:
        """A set may have more than before, or a runner less to do: give it what waits, oldest first."""
        while scale_set.room > 0 and scale_set.acquired:
            self._assign(next(iter(scale_set.acquired.values())), scale_set)
        while (job := self._oldest_for(scale_set)) is not None:
            self._give(job, scale_set)
        self.offer(scale_set)

    def acquire(self, scale_set: ScaleSet, numbers: Sequence[int]) -> list[int]:
        """Flavour B: take these offers; those that are no longer there are left out of the answer."""
        jobs = [scale_set.offers[number] for number in numbers if number in scale_set.offers]
        for job in jobs:
            self._store.place_job(job, JobState.ACQUIRED, scale_set)
        self.fill(scale_set)
        return [job.number for job in jobs]

    def lose_offer(self, job: Job) -> None:
        """Flavour B: another scale set was faster (fault F56); this one is never offered the job again."""
        if job.scale_set is not None:
            job.refused_by.add(job.scale_set.id)
        self._store.place_job(job, JobState.QUEUED, None)
        self.place(job)

    def offer(self, scale_set: ScaleSet) -> None:
        """Bring waiting jobs and polling idle runners together, oldest with oldest."""
        while scale_set.waiting and scale_set.ready and not scale_set.ignored:
            self._pair(next(iter(scale_set.waiting.values())), scale_set.ready[min(scale_set.ready)])

    def _pair(self, job: Job, runner: Runner) -> None:
        del runner.scale_set.waiting[job.id]
        del runner.scale_set.ready[runner.id]
        job.runner, runner.job = runner, job
        job.turn += 1
        turn = job.turn
        self._store.deadlines.after(self._store.timers.pick_up, lambda: self._not_picked_up(job, turn))
        self._store.wake_runner(runner)

    def take_back(self, runner: Runner) -> None:
        """The runner will not start what it was offered: the next one may."""
        job = runner.job
        if job is None or job.state is not JobState.ASSIGNED or job.scale_set is None:
            return
        runner.job = job.runner = None
        job.turn += 1
        job.scale_set.waiting = {job.id: job, **job.scale_set.waiting}
        self.offer(job.scale_set)

    def _not_picked_up(self, job: Job, turn: int) -> None:
        if job.turn == turn and job.runner is not None:
            runner = job.runner
            if runner.state is RunnerState.IDLE:
                self._store.move_runner(runner, RunnerState.OFFLINE)
            self.take_back(runner)

    def _has_room(self, scale_set: ScaleSet) -> bool:
        if scale_set.session is None:
            return False
        return scale_set.capacity > 0 if self._offers else scale_set.room > 0

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
        if not self._offers:
            self._assign(job, scale_set)
            return
        self._store.place_job(job, JobState.AVAILABLE, scale_set)
        self._message_queue.add_event(scale_set, JobAvailable, job)

    def _assign(self, job: Job, scale_set: ScaleSet) -> None:
        job.assigned_at = self._store.clock.wall()
        job.attempts += 1
        self._store.place_job(job, JobState.ASSIGNED, scale_set)
        attempt = job.attempts
        self._store.deadlines.after(self._store.timers.start, lambda: self._not_started(job, attempt))
        self._message_queue.add_event(scale_set, JobAssigned, job)
        self.offer(scale_set)

    def _not_started(self, job: Job, attempt: int) -> None:
        if job.state is JobState.ASSIGNED and job.attempts == attempt:
            self.withdraw(job)

    def withdraw(self, job: Job) -> None:
        """Nobody started it in time: back to the queue, after the third time over and failed."""
        last = job.attempts >= ATTEMPTS
        if last:
            self.finish(job, "failed")
            return
        scale_set = self._leave_runner(job)
        job.assigned_at = 0.0
        self._store.place_job(job, JobState.QUEUED, None)
        if scale_set is not None:
            self._message_queue.add_event(scale_set, JobCompleted, job, result="canceled")
        self.queue(job)
        if scale_set is not None:
            self.fill(scale_set)

    def queue(self, job: Job) -> None:
        """The job stands in the queue: spring the capacity trap, then look for a set."""
        if self._store.options.capacity_trap:
            announced_none = [
                one.id
                for one in self._store.live_sets(job.spec.scope)
                if one.session and one.announced and one.capacity == 0 and one.matches(job)
            ]
            job.refused_by.update(announced_none)
        self.place(job)

    def finish(self, job: Job, result: str) -> None:
        """The job is over, whatever it was doing; its set is told, its runner is let go of."""
        runner = job.runner if job.state is JobState.RUNNING else None
        scale_set = self._leave_runner(job)
        job.result = result
        job.finished_at = self._store.clock.wall()
        self._store.place_job(job, JobState.COMPLETED, scale_set)
        if scale_set is None:
            return
        named = {"runner_id": runner.id, "runner_name": runner.name} if runner else {}
        self._message_queue.add_event(scale_set, JobCompleted, job, **named, result=result)
        self.fill(scale_set)

    def _leave_runner(self, job: Job) -> ScaleSet | None:
        if job.runner is not None and job.state is JobState.ASSIGNED:
            runner = job.runner
            job.runner = runner.job = None
            if runner.state is RunnerState.IDLE and runner.agent is not None and runner.agent.polls:
                runner.scale_set.ready[runner.id] = runner
        return job.scale_set
