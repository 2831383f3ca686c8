"""Jobs from outside: queued by workflows, cancelled by people, too old at last (docs/protocol.md § 9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.records import Job, JobState, StepRecord

if TYPE_CHECKING:
    from runscaler.simulator.dispatch import Dispatch
    from runscaler.simulator.records import JobSpec, ScaleSet
    from runscaler.simulator.store import Store

FIRST_RUN = 991
FIRST_REQUEST = 101


class Jobs:
    def __init__(self, store: Store, dispatch: Dispatch) -> None:
        self._store = store
        self._dispatch = dispatch

    def queue(self, order: JobSpec) -> list[Job]:
        """Queue `order.count` jobs of one workflow run and look for their scale sets at once."""
        run_id = FIRST_RUN + len(self._store.jobs)
        jobs = [self._new(order, run_id, index) for index in range(order.count)]
        for job in jobs:
            self._add(job)
        return jobs

    def cancel(self, job: Job) -> None:
        """While it waits: over at once. While it runs: its agent is told when it next renews."""
        if job.state is JobState.RUNNING:
            job.cancel = True
        elif job.state is not JobState.COMPLETED:
            self._dispatch.finish(job, "canceled")

    def release(self, scale_set: ScaleSet) -> None:
        """The set is gone: its jobs that no runner has started go back to the queue."""
        waiting = [job for job in self._store.jobs.values() if job.scale_set is scale_set]
        for job in waiting:
            if job.state in (JobState.AVAILABLE, JobState.ACQUIRED, JobState.ASSIGNED):
                self._forget_runner(job)
                job.assigned_at = 0.0
                self._store.place_job(job, JobState.QUEUED, None)
                self._dispatch.queue(job)

    def _forget_runner(self, job: Job) -> None:
        if job.runner is not None:
            job.runner.job = None
            job.runner = None

    def _add(self, job: Job) -> None:
        self._store.add_job(job)
        self._store.deadlines.after(self._store.timers.queue, lambda: self._too_old(job))
        self._dispatch.queue(job)

    def _new(self, order: JobSpec, run_id: int, index: int) -> Job:
        return Job(
            id=self._store.uuid(),
            number=FIRST_REQUEST + len(self._store.jobs) + index,
            spec=order,
            labels=frozenset(label.lower() for label in order.labels),
            run_id=run_id,
            queued_at=self._store.clock.wall(),
            steps=[StepRecord() for _ in order.steps],
        )

    def _too_old(self, job: Job) -> None:
        if job.state in (JobState.QUEUED, JobState.AVAILABLE, JobState.ACQUIRED):
            self._dispatch.finish(job, "failed")
