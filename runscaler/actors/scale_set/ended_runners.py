"""Runners whose resource has ended, while messages about their jobs may still come.

`policy.ended_runners` decides what each of them was, on proof where GitHub can give one; what follows from
that is done here: a failure is counted, a registration that may be left is removed, demand is corrected by
jobs that are over or bound to runners that are gone.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from runscaler import events
from runscaler.actors.messages import DeregisterRunner, EndedRunnerDue
from runscaler.actors.scale_set.slots import NOT_KNOWN
from runscaler.actors.start_failures import VERSION_REFUSED, early_end_reason, loss_reason
from runscaler.metrics.own import JOBS_LOST, REPAIRS
from runscaler.metrics.words import FailureReason, LossReason, Repair
from runscaler.names import RunnerName
from runscaler.ops.state_dir import describe_ending
from runscaler.policy.ended_runners import (
    WAITS,
    YOUNG_SECONDS,
    Evidence,
    Exit,
    Outcome,
    classify,
    reconsider,
)
from runscaler.policy.lifecycle import SlotState

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.actors.scale_set.child_actors import ChildActors
    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.backends.base import Ending
    from runscaler.names import SlotNumber
    from runscaler.status import JobOrigin

_REMEMBERED = 2000
_WITH_JOB = (Outcome.HAD_JOB, Outcome.UNCONFIRMED, Outcome.BOUND)
_TO_PROVE = (Outcome.UNPROVEN, Outcome.UNREGISTERED)
_PROBABLY_WITH_JOB = (Outcome.UNPROVEN, Outcome.UNREGISTERED, Outcome.PROVEN)
REFUSED_WITHIN_SECONDS = 10.0
"""A runner too old to know that code ends with 0 this soon."""


@dataclass(slots=True)
class EndedRunner:
    """`due_at` is when its outcome is reconsidered (monotonic); None where no message is waited for."""

    slot: SlotNumber
    runner_id: int
    ordered_at: float
    outcome: Outcome
    job_id: str = ""
    job: str = ""
    origin: JobOrigin = NOT_KNOWN
    by_itself: bool = True
    """Its resource ended; we did not remove it."""
    job_completed: bool = False
    lost: bool = False
    """It died in its job."""
    reason: str = ""
    """What is said if it turns out to have failed."""
    kind: FailureReason = FailureReason.EXITED_BEFORE_JOB
    """As what it counts then."""
    refused: bool = False
    """GitHub refused its version, as far as its end tells."""
    due_at: float | None = None


class EndedRunners:
    """The latest 2,000 of them, by name."""

    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        child_actors: ChildActors,
        conditions: Conditions,
        version_refused: Callable[[], None],
    ) -> None:
        """`version_refused` is called for each that failed because GitHub refuses its version."""
        self._context, self._book, self._version_refused = context, book, version_refused
        self._child_actors, self._conditions = child_actors, conditions
        self._runners: OrderedDict[RunnerName, EndedRunner] = OrderedDict()
        self.had_job = 0
        """Runners with a job whose JobCompleted is still to come, or never comes."""
        self.probably_had_job = 0
        """Runners whose job may be over without GitHub's counts showing it yet."""
        self._proven: dict[RunnerName, EndedRunner] = {}
        self.counts_are_old = False
        """Whether GitHub's latest counts are older than a proof that a job is over."""

    def get(self, runner: str) -> EndedRunner | None:
        return self._runners.get(RunnerName(runner))

    # -- ends ---------------------------------------------------------------------------------------

    def ended_by_itself(self, slot: Slot, ending: Ending | None) -> None:
        """The backend saw the slot's resource end. To be called before the slot moves."""
        lived = self._context.clock.monotonic() - slot.started_at
        exit_ = _exit_of(ending, lived)
        outcome = classify(slot.state, exit_)
        self._book.note_ending(
            slot,
            ending,
            wants_output=_wants_output(slot, exit_, outcome),
            wants_proof=outcome in _TO_PROVE,
        )
        how = describe_ending(ending)
        reason = hint = ""
        if slot.state is SlotState.IDLE:
            hint = _hint(ending, lived)
            reason = f"{slot.runner} ended before a job after {lived:.0f} s ({how}){hint}"
            if outcome is Outcome.FAILED:
                self._book.fail(slot, reason)
            else:
                self._book.explain(slot, reason)
        elif slot.state is SlotState.BUSY and exit_ is Exit.FAILED and not slot.job_is_over:
            self._lost_in_job(slot, how, ending)
        self._add(slot, outcome, reason, refused=bool(hint), kind=_kind_of(ending, lived))

    def _lost_in_job(self, slot: Slot, how: str, ending: Ending | None) -> None:
        """It died in its job: said with its output when that is kept, which is next."""
        self._context.count(runners_lost=1)
        self._context.metrics.count(JOBS_LOST, _loss_of(ending))
        facts = self._context.facts(slot.number, slot.runner)
        loss = events.RunnerLost(**facts, job=slot.job, job_id=slot.job_id, **asdict(slot.origin), reason=how)
        self._book.lose(slot, loss)
        self._context.actors.emit(loss)

    def expect_no_messages(self) -> None:
        """The session is left: count the jobs whose end nobody will tell any more, without a result."""
        for runner, ended in self._runners.items():
            waits = ended.outcome is Outcome.HAD_JOB and not ended.job_completed
            if waits and ended.by_itself and not ended.lost:
                ended.job_completed = True
                self._tell_unheard(runner, ended)

    def _tell_unheard(self, runner: RunnerName, ended: EndedRunner) -> None:
        self._context.count(jobs_completed=1)
        event = events.JobCompleted(
            **self._context.facts(ended.slot, runner),
            job_id=ended.job_id,
            job=ended.job,
            **asdict(ended.origin),
            result="",
            seconds_run=None,
        )
        self._context.actors.emit(event)
        self._context.log.bind(**event.fields()).info(
            "job {} on {}: ended; its result is not told any more, as the session is closed",
            ended.job or ended.job_id or "of unknown name",
            runner,
        )

    def removed(self, slot: Slot) -> None:
        """We remove the slot's runner; nothing new where it had ended by itself. To be called before the
        slot moves."""
        self._add(slot, classify(slot.state, Exit.REMOVED), "", by_itself=False)

    def _add(
        self,
        slot: Slot,
        outcome: Outcome,
        reason: str,
        *,
        by_itself: bool = True,
        refused: bool = False,
        kind: FailureReason = FailureReason.EXITED_BEFORE_JOB,
    ) -> None:
        if slot.runner is None or slot.runner in self._runners:
            return
        ended = self._runners[slot.runner] = EndedRunner(
            slot.number,
            slot.runner_id,
            slot.ordered_at,
            outcome,
            job_id=slot.job_id,
            job=slot.job,
            origin=slot.origin,
            by_itself=by_itself,
            job_completed=bool(slot.completed_job),
            lost=slot.loss is not None,
            reason=reason,
            kind=kind,
            refused=refused,
        )
        self._count(outcome, +1)
        self._reached(slot.runner, ended)
        if len(self._runners) > _REMEMBERED:
            _, oldest = self._runners.popitem(last=False)
            self._count(oldest.outcome, -1)

    def add_reason(self, runner: RunnerName, more: str) -> None:
        """Add to what is said if this runner turns out to have failed."""
        if (ended := self._runners.get(runner)) is not None:
            ended.reason += more

    # -- what is heard afterwards -------------------------------------------------------------------

    def job_started(self, runner: RunnerName, job_id: str) -> bool:
        """GitHub says that it had begun a job; False where that was known."""
        ended = self._runners[runner]
        if ended.job_id:
            return False
        ended.job_id = job_id
        self._hear(runner, ended, Evidence.JOB_STARTED)
        return True

    def job_completed(self, runner: RunnerName) -> bool:
        """GitHub says that its job is over; False where that was known."""
        ended = self._runners[runner]
        self._hear(runner, ended, Evidence.JOB_COMPLETED)
        known, ended.job_completed = ended.job_completed, True
        return not known

    def due(self, runner: RunnerName) -> None:
        """A waiting time is over; one that has begun anew since has a timer of its own."""
        ended = self._runners.get(runner)
        if ended is None or ended.due_at is None or self._context.clock.monotonic() < ended.due_at:
            return
        served = self._conditions.condition.is_serving
        self._hear(runner, ended, Evidence.TIME_UP if served else Evidence.TIME_UP_UNSERVED)

    def proved(self, runner: RunnerName, evidence: Evidence) -> None:
        """What GitHub answered about its registration."""
        if (ended := self._runners.get(runner)) is not None:
            self._hear(runner, ended, evidence)

    def counts_came(self) -> None:
        """New statistics include no job any more that was proved to be over."""
        self.counts_are_old = False
        for runner, ended in list(self._proven.items()):
            self._hear(runner, ended, Evidence.NEW_COUNTS)

    def _hear(self, runner: RunnerName, ended: EndedRunner, evidence: Evidence) -> None:
        before, after = ended.outcome, reconsider(ended.outcome, evidence)
        if after is before and (after not in WAITS or evidence is Evidence.NEW_COUNTS):
            return
        self._count(before, -1)
        self._count(after, +1)
        ended.outcome = after
        if before is Outcome.PROVEN and evidence in (Evidence.TIME_UP, Evidence.TIME_UP_UNSERVED):
            self.counts_are_old = True
        if after is Outcome.PROVEN:
            self._proven[runner] = ended
        else:
            self._proven.pop(runner, None)
        if after is Outcome.FAILED:
            self._context.log.bind(slot=ended.slot, runner=runner).warning("{}", ended.reason)
        self._reached(runner, ended)

    def _reached(self, runner: RunnerName, ended: EndedRunner) -> None:
        """Do what follows from its outcome."""
        wait = WAITS.get(ended.outcome)
        ended.due_at = None if wait is None else self._context.clock.monotonic() + wait
        if wait is not None:
            self._context.after(wait, EndedRunnerDue(runner))
        elif ended.outcome is Outcome.FAILED:
            self._count_failure(runner, ended)
        elif ended.outcome is Outcome.UNCONFIRMED:
            self._context.metrics.count(REPAIRS, Repair.MISSED_COMPLETION)
            order = DeregisterRunner(runner, ended.runner_id, self._context.scale_set_id)
            self._child_actors.tell_runner(ended.slot, order)
        self._context.changed()

    def _count(self, outcome: Outcome, change: int) -> None:
        if outcome in _WITH_JOB:
            self.had_job += change
        elif outcome in _PROBABLY_WITH_JOB:
            self.probably_had_job += change

    def _count_failure(self, runner: RunnerName, ended: EndedRunner) -> None:
        self._context.count_failure(ended.kind)
        self._conditions.runner_outdated(ended.kind is FailureReason.RUNNER_OUTDATED)
        facts = self._context.facts(ended.slot, runner)
        self._context.actors.emit(events.RunnerFailed(**facts, reason=ended.reason))
        self._conditions.ended_early(ended.ordered_at, ended.reason)
        if ended.refused:
            self._version_refused()


def _wants_output(slot: Slot, ended: Exit, outcome: Outcome) -> bool:
    """Is its output kept although it does not count as failed yet?"""
    lost = slot.state is SlotState.BUSY and ended is Exit.FAILED
    return lost or outcome is Outcome.UNPROVEN


def _exit_of(ending: Ending | None, lived: float) -> Exit:
    if ending is None or ending.exit_code != 0:
        return Exit.FAILED
    return Exit.CLEAN_YOUNG if lived < YOUNG_SECONDS else Exit.CLEAN


def _hint(ending: Ending | None, lived: float) -> str:
    """What such an end usually means (docs/protocol.md § 8.2, 8.5)."""
    code = None if ending is None else ending.exit_code
    if code == VERSION_REFUSED:
        return ": GitHub refuses this runner version, a newer image is needed"
    if code == 0 and lived < REFUSED_WITHIN_SECONDS:
        return ": perhaps GitHub refuses this runner version"
    return ""


def _kind_of(ending: Ending | None, lived: float) -> FailureReason:
    """What it counts as, if it turns out to have had no job."""
    if ending is None:
        return early_end_reason(None, out_of_memory=False, vanished=True, outdated=False)
    outdated = ending.exit_code == 0 and lived < REFUSED_WITHIN_SECONDS
    return early_end_reason(
        ending.exit_code, out_of_memory=ending.out_of_memory, vanished=False, outdated=outdated
    )


def _loss_of(ending: Ending | None) -> LossReason:
    if ending is None:
        return LossReason.UNKNOWN
    return loss_reason(ending.exit_code, ending.signal, out_of_memory=ending.out_of_memory)
