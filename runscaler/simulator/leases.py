"""Leases: a runner starts its job, renews the lease while it runs, completes it or loses it
(docs/protocol.md § 8.4, 9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.github.messages import JobStarted
from runscaler.simulator.records import JobState, RunnerState
from runscaler.simulator.refusals import AgentRefusal

if TYPE_CHECKING:
    from runscaler.simulator.dispatch import Dispatch
    from runscaler.simulator.message_queue import MessageQueue
    from runscaler.simulator.records import Job, Runner
    from runscaler.simulator.store import Store


class Leases:
    def __init__(self, store: Store, message_queue: MessageQueue, dispatch: Dispatch) -> None:
        self._store = store
        self._message_queue = message_queue
        self._dispatch = dispatch

    def start(self, runner: Runner, job_id: str) -> Job:
        """Start the job that the runner was offered; the same runner may repeat the call."""
        job = self._store.job_ids.get(job_id)
        if job is None or job.state not in (JobState.ASSIGNED, JobState.RUNNING):
            raise AgentRefusal(404, "JobCancelled", f"Job {job_id} is no longer available.")
        if job.runner is not runner:
            raise AgentRefusal(409, "AlreadyAcquired", f"Job {job_id} belongs to another runner.")
        if job.state is JobState.ASSIGNED:
            self._begin(runner, job)
        return job

    def renew(self, runner: Runner, job_id: str) -> Job:
        job = self.held(runner, job_id)
        job.leased_until = self._store.clock.monotonic() + self._store.timers.lease
        return job

    def held(self, runner: Runner, job_id: str) -> Job:
        """The job, which this runner must be running."""
        job = self._store.job_ids.get(job_id)
        if job is None or job.runner is not runner or job.state is not JobState.RUNNING:
            raise AgentRefusal(404, "LeaseLost", f"Job {job_id} no longer belongs to this runner.")
        return job

    def complete(self, runner: Runner, job_id: str, result: str) -> None:
        """Complete the job, which also ends the registration. Repeating the same result is fine."""
        job = self._store.job_ids.get(job_id)
        if job is None or job.runner is not runner:
            raise AgentRefusal(404, "LeaseLost", f"Job {job_id} does not belong to this runner.")
        if job.state is JobState.COMPLETED:
            if job.result != result:
                raise AgentRefusal(409, "AlreadyCompleted", f"Job {job_id} is completed as {job.result}.")
            return
        if job.state is JobState.ASSIGNED:  # the worker died before it could start the job
            self._begin(runner, job)
        self.end(job, result)

    def end(self, job: Job, result: str) -> None:
        """Complete the job and remove its runner, whose agent learns of it from its next call."""
        runner = job.runner
        self._dispatch.finish(job, result)
        if runner is not None and runner.state is not RunnerState.GONE:
            self._store.move_runner(runner, RunnerState.GONE)

    def _begin(self, runner: Runner, job: Job) -> None:
        store = self._store
        job.runner_assigned_at = store.clock.wall()
        store.move_job(job, JobState.RUNNING, job.scale_set)
        store.move_runner(runner, RunnerState.BUSY)
        job.leased_until = store.clock.monotonic() + store.timers.lease
        self._schedule_check(job)
        self._message_queue.add_event(
            runner.scale_set, JobStarted, job, runner_id=runner.id, runner_name=runner.name
        )

    def _schedule_check(self, job: Job) -> None:
        seconds = job.leased_until - self._store.clock.monotonic()
        self._store.deadlines.after(seconds, lambda: self._check(job))

    def _check(self, job: Job) -> None:
        if job.state is not JobState.RUNNING:
            return
        if job.leased_until > self._store.clock.monotonic():
            self._schedule_check(job)
        else:
            self.end(job, "failed")
