"""What a batch's job messages mean for the runners (docs/protocol.md § 5.3).

They may come twice, late, or in any order; a job counts once, and a runner that is gone is never
made busy again. A part of the scale set actor, used on its thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from runscaler import events
from runscaler.actors.scale_set.facts import runner_facts
from runscaler.github.messages import JobAvailable, JobCompleted, JobStarted
from runscaler.names import RunnerName
from runscaler.policy.lifecycle import SlotEvent, SlotState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.context import ActorContext
    from runscaler.actors.scale_set.anomaly_checks import Doubts
    from runscaler.actors.scale_set.conditions import Outlook
    from runscaler.actors.scale_set.ended_runners import PastRunner
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.actors.scale_set.slots import Slot
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.messages import JobEvent

_SHOWN = 80
NAMELESS = "?"
"""The id of a job that came without one."""


class Jobs:
    def __init__(
        self,
        context: ActorContext,
        settings: ScaleSetSettings,
        runners: Runners,
        outlook: Outlook,
        doubts: Doubts,
    ) -> None:
        self._context, self._settings = context, settings
        self._outlook, self._doubts = outlook, doubts
        self._runners, self._past, self._tally = runners, runners.departures.past, runners.tally
        self._log = logger.bind(scale_set=settings.name)

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

    def _started(self, job: JobStarted) -> None:
        slot = self._runners.book.of_runner(job.runner_name)
        past = self._past.get(RunnerName(job.runner_name))
        if past is not None:
            self._started_in_the_past(job, past)
        elif slot is None:
            name = plain(job.runner_name) or "no runner"
            self._log.warning("a job started on {}, which is not one of ours", name)
        elif job.job_id and job.job_id == slot.completed_job:
            self._started_too_late(job, slot)
        elif not job.job_id or job.job_id != slot.job_id:
            self._started_here(job, slot)

    def _started_in_the_past(self, job: JobStarted, past: PastRunner) -> None:
        """Its resource has ended already: the job counts, the runner is never made busy again."""
        if not past.job_id:
            self._past.settle(RunnerName(job.runner_name))
            past.job_id, past.unproven = job.job_id, False
            self._count_start(job, past.slot)

    def _started_too_late(self, job: JobStarted, slot: Slot) -> None:
        """Its end was told first (fault F43): it counts, and changes nothing."""
        if not slot.job_id:
            slot.job_id = job.job_id
            self._count_start(job, slot.number)

    def _started_here(self, job: JobStarted, slot: Slot) -> None:
        was_busy = slot.state is SlotState.BUSY
        if not self._runners.happen(slot, SlotEvent.JOB_STARTED) and not was_busy:
            return
        slot.job_id, slot.job = job.job_id, plain(job.display_name)
        slot.deadline = None
        self._count_start(job, slot.number)
        self._runners.limit_job(slot)

    def _count_start(self, job: JobStarted, slot: int) -> None:
        self._tally.jobs_started += 1
        self._doubts.job_started()
        self._outlook.proved()
        facts = runner_facts(self._context.clock, self._settings, slot, job.runner_name)
        self._context.emit(events.JobStarted(**facts, job_id=job.job_id, job=plain(job.display_name)))
        self._log.bind(slot=slot, runner=job.runner_name).info(
            "{} began job {}", job.runner_name, plain(job.display_name) or job.job_id
        )

    def _completed(self, job: JobCompleted) -> None:
        if not job.runner_name:
            self._log.debug("job {} ended without a runner: {}", plain(job.display_name), plain(job.result))
            return
        slot = self._runners.book.of_runner(job.runner_name)
        past = self._past.get(RunnerName(job.runner_name))
        if past is not None:
            self._completed_in_the_past(job, past)
        elif slot is None:
            self._log.warning("a job ended on {}, which is not one of ours", plain(job.runner_name))
        elif not _is_old_news(job, slot):
            slot.completed_job = job.job_id or NAMELESS
            self._runners.happen(slot, SlotEvent.JOB_COMPLETED, "its job is done")
            self._count_end(job, slot.number)

    def _completed_in_the_past(self, job: JobCompleted, past: PastRunner) -> None:
        """Its resource ended before the word came, which is the usual order."""
        self._past.forget_departure(RunnerName(job.runner_name))
        self._past.settle(RunnerName(job.runner_name))
        past.unproven = False
        if not past.completed:
            past.completed = True
            self._count_end(job, past.slot)

    def _count_end(self, job: JobCompleted, slot: int) -> None:
        self._tally.jobs_completed += 1
        self._outlook.proved()
        seconds = None
        if job.finished_at is not None and job.runner_assigned_at is not None:
            seconds = job.finished_at - job.runner_assigned_at
        facts = runner_facts(self._context.clock, self._settings, slot, job.runner_name)
        name, result = plain(job.display_name), plain(job.result)
        self._context.emit(
            events.JobCompleted(**facts, job_id=job.job_id, job=name, result=result, seconds=seconds)
        )
        self._log.bind(slot=slot, runner=job.runner_name).info(
            "job {} on {}: {}", name or job.job_id, job.runner_name, result or "ended"
        )


def _is_old_news(job: JobCompleted, slot: Slot) -> bool:
    """Told before, or about an earlier job of a runner that has taken another since (fault F45)."""
    if not job.job_id:
        return False
    return job.job_id == slot.completed_job or (slot.job_id not in ("", job.job_id))


def plain(text: str) -> str:
    """GitHub's text, made harmless for a line of a log or a page: printable, short (fault F50)."""
    shown = "".join(letter if letter.isprintable() else "�" for letter in text[: _SHOWN + 1])
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
