"""What a batch's job messages mean for the runners (docs/protocol.md § 5.3).

They may come twice, late, or in any order. A job counts once, and a runner whose resource has ended is
never made busy again.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from runscaler import events
from runscaler.actors.scale_set.job_texts import described, origin_of, plain, seconds_between
from runscaler.github.messages import JobAvailable, JobCompleted, JobStarted
from runscaler.names import RunnerName
from runscaler.policy.lifecycle import SlotEvent, SlotState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.scale_set.anomaly_checks import AnomalyChecks
    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.ended_runners import EndedRunners
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.github.messages import JobEvent

NAMELESS = "?"
"""The id of a job that came without one."""


class JobTracking:
    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        runners: Runners,
        ended: EndedRunners,
        conditions: Conditions,
        checks: AnomalyChecks,
    ) -> None:
        self._context, self._book = context, book
        self._runners, self._ended = runners, ended
        self._conditions, self._checks = conditions, checks

    def apply(self, batch: Iterable[JobEvent]) -> list[JobAvailable]:
        """Apply the messages in order; returns the offers among them."""
        offers: list[JobAvailable] = []
        for one in batch:
            match one:
                case JobStarted():
                    self._started(one)
                case JobCompleted():
                    self._completed(one)
                case JobAvailable():
                    offers.append(one)
        return offers

    # -- JobStarted ---------------------------------------------------------------------------------

    def _started(self, job: JobStarted) -> None:
        slot = self._book.of_runner(job.runner_name)
        ended = self._ended.get(job.runner_name)
        if ended is not None:
            if self._ended.job_started(RunnerName(job.runner_name), job.job_id):
                self._count_start(job, ended.slot)
        elif slot is None:
            name = plain(job.runner_name) or "no runner"
            self._context.log.warning("a job started on {}, which is not one of ours", name)
        elif job.job_id and job.job_id == slot.completed_job:
            self._started_after_completion(job, slot)
        elif not job.job_id or job.job_id != slot.job_id:
            self._started_here(job, slot)

    def _started_after_completion(self, job: JobStarted, slot: Slot) -> None:
        """Its JobCompleted came first (fault F43): it counts, and changes nothing."""
        if not slot.job_id:
            self._book.note_job(slot, job.job_id)
            self._count_start(job, slot.number)

    def _started_here(self, job: JobStarted, slot: Slot) -> None:
        was_busy = slot.state is SlotState.BUSY
        if not self._runners.apply(slot, SlotEvent.JOB_STARTED) and not was_busy:
            return
        self._book.start_job(slot, job.job_id, plain(job.display_name), origin_of(job))
        self._count_start(job, slot.number)
        self._runners.limit_job(slot)

    def _count_start(self, job: JobStarted, slot: int) -> None:
        self._context.count(jobs_started=1)
        self._checks.job_started()
        self._conditions.job_ran()
        name, origin = plain(job.display_name), origin_of(job)
        queued = seconds_between(job.queued_at, job.runner_assigned_at)
        facts = self._context.facts(slot, job.runner_name)
        event = events.JobStarted(
            **facts, job_id=job.job_id, job=name, **asdict(origin), seconds_queued=queued
        )
        self._context.actors.emit(event)
        text = described(name or job.job_id, origin)
        waited = f", which was queued for {queued:.0f} s" if queued and queued >= 1 else ""
        self._context.log.bind(**event.fields()).info("{} began job {}{}", job.runner_name, text, waited)

    # -- JobCompleted -------------------------------------------------------------------------------

    def _completed(self, job: JobCompleted) -> None:
        if not job.runner_name:
            name, result = plain(job.display_name), plain(job.result)
            self._context.log.debug("job {} ended without a runner: {}", name, result)
            return
        slot = self._book.of_runner(job.runner_name)
        ended = self._ended.get(job.runner_name)
        if ended is not None:  # the usual order: the resource's end is seen before GitHub tells of it
            if self._ended.job_completed(RunnerName(job.runner_name)):
                self._count_end(job, ended.slot, lost=ended.lost)
        elif slot is None:
            name = plain(job.runner_name)
            self._context.log.warning("a job ended on {}, which is not one of ours", name)
        elif not _is_outdated(job, slot):
            self._book.complete_job(slot, job.job_id or NAMELESS)
            self._runners.apply(slot, SlotEvent.JOB_COMPLETED, "its job is done")
            self._count_end(job, slot.number, lost=slot.loss is not None)

    def _count_end(self, job: JobCompleted, slot: int, *, lost: bool) -> None:
        self._context.count(jobs_completed=1)
        self._conditions.job_ran()
        name, result, origin = plain(job.display_name), plain(job.result), origin_of(job)
        event = events.JobCompleted(
            **self._context.facts(slot, job.runner_name),
            job_id=job.job_id,
            job=name,
            **asdict(origin),
            result=result,
            seconds_queued=seconds_between(job.queued_at, job.runner_assigned_at),
            seconds_run=seconds_between(job.runner_assigned_at, job.finished_at),
        )
        self._context.actors.emit(event)
        text, ended = described(name or job.job_id, origin), result or "ended"
        ran = "" if event.seconds_run is None else f" after {event.seconds_run:.0f} s"
        because = ", because its runner died" if lost else ""
        self._context.log.bind(**event.fields()).info(
            "job {} on {}: {}{}{}", text, job.runner_name, ended, ran, because
        )


def _is_outdated(job: JobCompleted, slot: Slot) -> bool:
    """Told before, or about an earlier job of a runner that has started another since (fault F45)."""
    if not job.job_id:
        return False
    return job.job_id == slot.completed_job or (slot.job_id not in ("", job.job_id))
