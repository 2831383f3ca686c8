"""Jobs: queued by workflows, cancelled by users, failed when queued too long (docs/protocol.md § 9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.records import Job, JobState, StepRecord

if TYPE_CHECKING:
    from runscaler.simulator.dispatch import Dispatch
    from runscaler.simulator.records import JobSpec, ScaleSet
    from runscaler.simulator.store import Store

FIRST_RUN_ID = 991
FIRST_NUMBER = 101


class Jobs:
    def __init__(self, store: Store, dispatch: Dispatch) -> None:
        self._store = store
        self._dispatch = dispatch

    def queue(self, spec: JobSpec) -> list[Job]:
        """Queue `spec.count` jobs of one workflow run."""
        run_id = FIRST_RUN_ID + len(self._store.jobs)
        jobs = [self._new(spec, run_id, index) for index in range(spec.count)]
        for job in jobs:
            self._add(job)
        return jobs

    def cancel(self, job: Job) -> None:
        """Cancel a job: a waiting one ends at once, a running one when its agent next renews the lease."""
        if job.state is JobState.RUNNING:
            job.cancel = True
        elif job.state is not JobState.COMPLETED:
            self._dispatch.finish(job, "canceled")

    def release(self, scale_set: ScaleSet) -> None:
        """Queue the jobs of a deleted scale set again that no runner has started."""
        waiting = [job for job in self._store.jobs.values() if job.scale_set is scale_set]
        for job in waiting:
            if job.state in (JobState.AVAILABLE, JobState.ACQUIRED, JobState.ASSIGNED):
                self._forget_runner(job)
                self._dispatch.requeue(job)

    def _forget_runner(self, job: Job) -> None:
        if job.runner is not None:
            job.runner.job = None
            job.runner = None

    def _add(self, job: Job) -> None:
        self._store.add_job(job)
        self._store.deadlines.after(self._store.timers.queue, lambda: self._too_old(job))
        self._dispatch.queue(job)

    def _new(self, spec: JobSpec, run_id: int, index: int) -> Job:
        identity = self._store.uuid()
        return Job(
            id=identity,
            job_id=identity,
            number=FIRST_NUMBER + len(self._store.jobs) + index,
            spec=spec,
            labels=frozenset(label.lower() for label in spec.labels),
            run_id=run_id,
            queued_at=self._store.clock.wall(),
            steps=[StepRecord() for _ in spec.steps],
        )

    def _too_old(self, job: Job) -> None:
        if job.state in (JobState.QUEUED, JobState.AVAILABLE, JobState.ACQUIRED):
            self._dispatch.finish(job, "failed")
