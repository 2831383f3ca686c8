"""The runners of one scale set: what an event does to a slot, and what has to be done then.

`policy.lifecycle` says which step an event takes; here its effect is carried out by telling the slot's
actor, the claims and the outside world. How many runners there should be is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler import events
from runscaler.actors import messages as m
from runscaler.actors.scale_set.job_texts import described, plain
from runscaler.metrics import own
from runscaler.metrics.words import Adoption, EndOutcome, FailureReason, Repair, StartResult, StartSource
from runscaler.names import new_runner_name
from runscaler.policy.lifecycle import (
    FINISH_SECONDS,
    GRACE_SECONDS,
    TERMINATE_SECONDS,
    Effect,
    SlotEvent,
    SlotState,
    is_ignored,
    step,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.scale_set.child_actors import ChildActors
    from runscaler.actors.scale_set.claims import Claims
    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.ended_runners import EndedRunners
    from runscaler.actors.scale_set.leftovers import Leftovers
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.backends.base import Ending, Place, Resource
    from runscaler.names import Generation, SlotNumber

ASK_AGAIN_SECONDS = 30.0
"""GitHub said that a job is running on a runner whose job is completed: ask again after this."""
ASK_AGAIN_UNHEARD_SECONDS = 600.0
"""The same for a runner about whose job no message ever came (fault F81)."""

_OVERDUE_REASONS = {
    SlotState.BUSY: "its time is up",
    SlotState.STARTING: "its start took too long",
}


class Runners:
    """`draining`: whatever is idle or found is retired. `stopping`: an orderly stop is on, and no time is
    granted after GitHub's agreement (docs/behaviour.md § 6.2). `without_session`: it was left."""

    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        child_actors: ChildActors,
        claims: Claims,
        conditions: Conditions,
        ended: EndedRunners,
        leftovers: Leftovers,
    ) -> None:
        self._context, self._book = context, book
        self._child_actors, self._claims = child_actors, claims
        self._conditions, self._ended, self._leftovers = conditions, ended, leftovers
        self.draining = self.stopping = self.without_session = False
        self._early_ends: dict[str, Ending | None] = {}
        """Ends of resources that no slot knows: the answer of their start may be on its way."""

    # -- what the planner orders ------------------------------------------------------------------

    def start(self, count: int) -> None:
        for _ in range(count):
            slot = self._book.take(new_runner_name())
            if slot is None:
                return
            self.apply(slot, SlotEvent.WANTED)

    def drop(self, count: int) -> None:
        """Let so many waiting slots go."""
        for slot in self._book.newest_waiting(count):
            self.apply(slot, SlotEvent.UNWANTED)

    def retire(self, numbers: Iterable[SlotNumber], reason: str) -> None:
        for number in numbers:
            self.apply(self._book.slot(number), SlotEvent.RETIRE, reason)

    def stop(self) -> None:
        """An orderly stop begins, and the session is left."""
        self.stopping = True
        self.leave_session()

    def leave_session(self) -> None:
        """No message comes any more: jobs that end without one are counted by their end."""
        self.without_session = True
        self._ended.expect_no_messages()

    # -- steps of a slot --------------------------------------------------------------------------

    def apply(self, slot: Slot, event: SlotEvent, reason: str = "") -> bool:
        """Take the step that the table of transitions says; False where it ignores the event."""
        if is_ignored(slot.state, event):
            return False
        before, then = slot.state, step(slot.state, event)
        if reason:
            self._book.explain(slot, reason)
        if then.state is SlotState.REMOVING:
            self._ended.removed(slot)
        if then.effect is Effect.RELEASE:
            self._release(slot, event)
        if then.state is not before:
            self._book.move(slot, then.state)
        self._carry_out(slot, then.effect)
        if then.state is SlotState.FINISHING and then.state is not before:
            self._book.set_deadline(slot, FINISH_SECONDS, SlotEvent.OVERDUE)
        self._context.changed()
        return True

    def _carry_out(self, slot: Slot, effect: Effect) -> None:
        match effect:
            case Effect.CLAIM:
                if self._claims.claim(slot):
                    self.apply(slot, SlotEvent.CLAIMS_GRANTED)
            case Effect.START:
                self._order_start(slot)
            case Effect.CANCEL:
                assert slot.runner is not None
                self._child_actors.interrupt_runner(slot.number, m.CancelStart(slot.generation, slot.runner))
            case Effect.RETIRE:
                self.order_retirement(slot)
            case Effect.GRACE:
                self._grant_grace(slot)
            case Effect.REMOVE:
                self.order_removal(slot)
            case Effect.TERMINATE:
                self._book.allow_termination(slot, TERMINATE_SECONDS)
                self.order_removal(slot)
            case Effect.RELEASE | Effect.NONE:
                pass  # a slot is released before it moves, as an empty one has forgotten its runner

    def due(self, number: SlotNumber) -> None:
        """The slot's timer fired."""
        slot = self._book.slot(number)
        event = self._book.due(slot)
        if event is None:
            return
        if slot.state is SlotState.STARTING:
            self._context.metrics.count(own.REPAIRS, Repair.STUCK_STARTING)
            timeout = f"{self._context.settings.start_timeout:g} s (start-timeout)"
            self._count_failed_start(
                slot, f"{slot.runner} did not start within {timeout}", FailureReason.START_TIMEOUT
            )
        self.apply(slot, event, _OVERDUE_REASONS.get(slot.state, ""))

    # -- starting -----------------------------------------------------------------------------------

    def claim_granted(self, slot: Slot, place: Place) -> None:
        if slot.state is SlotState.WAITING and self._claims.granted(slot, place):
            if slot.place.vm_slot is not None:
                self._context.metrics.count(own.POOL_CLAIMS, "hit" if slot.place.warm else "miss")
            self.apply(slot, SlotEvent.CLAIMS_GRANTED)

    def _order_start(self, slot: Slot) -> None:
        assert slot.runner is not None
        timeout = self._context.settings.start_timeout
        deadline = self._context.clock.monotonic() + timeout
        order = m.StartRunner(
            slot.generation, slot.runner, self._context.scale_set_id, slot.place, deadline, slot.ordered_at
        )
        self._book.note_order(slot)
        self._book.set_deadline(slot, timeout, SlotEvent.OVERDUE)
        if not self._child_actors.tell_runner(slot.number, order):
            self._book.fail(slot, "its actor is down")
            self.apply(slot, SlotEvent.START_FAILED)

    def up(self, slot: Slot, report: m.RunnerUp) -> None:
        if slot.resource is not None:
            return
        self._book.attach(slot, report.resource)
        if slot.state is SlotState.REMOVING:
            return
        seconds = self._context.clock.monotonic() - slot.ordered_at
        self._context.count(runners_started=1)
        self._context.metrics.count(own.STARTS, _source(slot), StartResult.OK)
        self._context.log_of(slot).info("started {} in {:.1f} s", slot.runner, seconds)
        facts = self._context.facts(slot.number, slot.runner)
        self._context.actors.emit(events.RunnerStarted(**facts, resource=report.resource.id, seconds=seconds))
        self._conditions.start_succeeded()
        self.apply(slot, SlotEvent.UP)
        if report.resource.id in self._early_ends:
            self.resource_ended(report.resource.id, self._early_ends.pop(report.resource.id))

    def start_failed(self, slot: Slot, report: m.RunnerStartFailed) -> None:
        held_up = report.rate_limited or report.vm_limit_reached or report.scale_set_gone
        if slot.state is SlotState.STARTING and not held_up:
            self._count_failed_start(slot, report.reason, report.kind, report.fixes)
        else:
            self._book.fail(slot, report.reason, vm_limit_reached=report.vm_limit_reached)
        if report.scale_set_gone:
            self._conditions.scale_set_gone(slot.ordered_at, report.reason)
        self.apply(slot, SlotEvent.START_FAILED)

    def _count_failed_start(
        self, slot: Slot, reason: str, kind: FailureReason, fixes: tuple[str, ...] = ()
    ) -> None:
        self._book.fail(slot, reason)
        self._context.count_failure(kind)
        self._context.metrics.count(own.STARTS, _source(slot), StartResult.FAILED)
        facts = self._context.facts(slot.number, slot.runner)
        self._context.actors.emit(events.RunnerFailed(**facts, reason=reason))
        self._conditions.start_failed(slot.ordered_at, reason, fixes)

    # -- jobs ---------------------------------------------------------------------------------------

    def job_detected(self, slot: Slot) -> None:
        """The backend sees a job in an adopted runner. Which one it is, GitHub may still tell."""
        if slot.state is SlotState.ADOPTED:
            self.apply(slot, SlotEvent.JOB_STARTED)
            self.limit_job(slot)

    def limit_job(self, slot: Slot) -> None:
        """Let the job that it runs from now on end at `job-timeout`, if there is one."""
        if self._context.settings.job_timeout:
            self._book.set_deadline(slot, self._context.settings.job_timeout, SlotEvent.OVERDUE)

    # -- retiring -----------------------------------------------------------------------------------

    def order_retirement(self, slot: Slot) -> None:
        after_job = slot.state is SlotState.FINISHING or slot.job_is_over
        order = m.RetireRunner(slot.generation, self._context.scale_set_id, after_job)
        self._child_actors.tell_runner(slot.number, order)

    def _grant_grace(self, slot: Slot) -> None:
        if self.stopping:
            self.apply(slot, SlotEvent.GRACE_OVER)
        else:
            self._book.set_deadline(slot, GRACE_SECONDS, SlotEvent.GRACE_OVER)

    def retire_refused(self, slot: Slot) -> None:
        """A job is running. Where GitHub has already called it completed, it is asked again after a while."""
        if not self.apply(slot, SlotEvent.REFUSED):
            return
        if not slot.job_id and not slot.job_is_over:
            self._context.metrics.count(own.REPAIRS, Repair.BUSY_CORRECTED)
        self._context.log_of(slot).info("{} is not retired: a job still runs on it", slot.runner)
        if slot.job_is_over:
            self._book.set_deadline(slot, ASK_AGAIN_SECONDS, SlotEvent.RETIRE)
        elif not slot.job_id:
            self._book.set_deadline(slot, ASK_AGAIN_UNHEARD_SECONDS, SlotEvent.RETIRE)

    def retire_failed(self, slot: Slot, reason: str) -> None:
        """GitHub or the backend could not be asked: try again."""
        if slot.state not in (SlotState.RETIRING, SlotState.FINISHING):
            return
        condition = self._conditions.condition
        known = condition.github is not None or condition.backend is not None
        level = "DEBUG" if known else "WARNING"
        self._context.log_of(slot).log(level, "{} cannot be retired yet: {}", slot.runner, reason)
        event = SlotEvent.OVERDUE if slot.state is SlotState.FINISHING else SlotEvent.RETIRE
        self._book.set_deadline(slot, ASK_AGAIN_SECONDS, event)

    def offline(self, slot: Slot, reason: str) -> None:
        """GitHub does not see it: it counts as failed, and is removed the careful way."""
        self._book.fail(slot, reason)
        self._context.count_failure(FailureReason.STALLED)
        facts = self._context.facts(slot.number, slot.runner)
        self._context.actors.emit(events.RunnerFailed(**facts, reason=reason))
        self._conditions.ended_early(slot.ordered_at, reason)
        self.apply(slot, SlotEvent.RETIRE, "GitHub does not see it")

    # -- ends and removal ---------------------------------------------------------------------------

    def resource_ended(self, resource_id: str, ending: Ending | None) -> None:
        """The backend saw a resource end."""
        slot = self._book.of_resource(resource_id)
        if slot is None:
            counts = self._book.counts()
            if counts.starting or counts.busy:
                self._early_ends[resource_id] = ending
        elif slot.state is not SlotState.REMOVING:
            self._ended.ended_by_itself(slot, ending)
            if self.without_session:
                self._ended.expect_no_messages()
            self.apply(slot, SlotEvent.ENDED)

    def forget_early_ends(self) -> None:
        """A list of what there is tells all that they could."""
        self._early_ends.clear()

    def order_removal(self, slot: Slot) -> None:
        had_its_job = bool(slot.completed_job) or (bool(slot.job_id) and slot.has_ended and not slot.loss)
        order = m.RemoveRunner(
            slot.generation,
            self._context.scale_set_id,
            force=slot.ending is None,
            deregister=not had_its_job,
            keep_output=bool(slot.failure or slot.loss) or slot.wants_output,
            prove=slot.wants_proof,
            ending=slot.ending,
            grace=slot.termination_seconds,
        )
        self._child_actors.tell_runner(slot.number, order)

    def output_kept(self, slot: Slot, report: m.OutputKept) -> None:
        """Say what became of a runner that failed or was lost, with its last line and where its output is."""
        shown = f"; its last line of output: {plain(report.last_line)}" if report.last_line else ""
        kept = shown + (f"; its last output is kept in {report.output}" if report.output else "")
        if slot.failure and shown:
            self._conditions.explain_failure(slot.failure, shown)
        if slot.loss is not None or slot.failure:
            self._say_end(slot, kept)
        elif kept and slot.runner is not None:
            self._ended.add_reason(slot.runner, kept)

    def _say_end(self, slot: Slot, kept: str = "") -> None:
        """Once: what it was that ended in failure."""
        if slot.end_said or (slot.loss is None and not slot.failure):
            return
        self._book.note_end_said(slot)
        if slot.loss is None:
            self._context.log_of(slot).warning("{}{}", slot.failure, kept)
            return
        job = f"job {described(slot.job or slot.job_id, slot.origin)}" if slot.job_id else "a job"
        self._context.log.bind(**slot.loss.fields()).warning(
            "{} died ({}) while it ran {}; GitHub will fail the job within minutes{}",
            slot.runner,
            slot.loss.reason,
            job,
            kept,
        )

    def removal_failed(self, slot: Slot, reason: str) -> None:
        """The slot's actor goes on trying. What has ended does not hold its slot for that."""
        level = "WARNING" if self._conditions.condition.backend is None else "DEBUG"
        self._context.log_of(slot).log(level, "{} is not removed yet, trying again: {}", slot.runner, reason)
        if slot.has_ended and slot.resource is not None:
            self._say_end(slot)
            self._leftovers.add(slot, reason)
            self.apply(slot, SlotEvent.LEFT_BEHIND)

    def gone(self, number: SlotNumber, generation: Generation) -> None:
        """A resource is gone: its slot is free, or had been given to another runner already."""
        self._leftovers.removed(number, generation)
        slot = self._book.of_generation(number, generation)
        if slot is None or slot.state is SlotState.EMPTY:
            return
        self._say_end(slot)
        if slot.state is SlotState.REMOVING and not slot.end_said:
            reason = slot.reason or "its job is done"
            self._context.log_of(slot).debug("removed {}: {}", slot.runner, reason)
        self.apply(slot, SlotEvent.GONE)

    def retry_removals(self) -> None:
        """The backend answers again: what could not be removed is tried at once."""
        for slot in self._book.in_state(SlotState.REMOVING):
            self._child_actors.tell_runner(slot.number, m.RetryRemoval(slot.generation))
        for number, generation in self._leftovers.all():
            self._child_actors.tell_runner(number, m.RetryRemoval(generation))

    def _release(self, slot: Slot, event: SlotEvent) -> None:
        """The slot is about to be empty."""
        self._claims.release(slot)
        self._measure_end(slot)
        if slot.resource is not None and event is not SlotEvent.LEFT_BEHIND:
            reason = slot.reason or slot.failure or "its job is done"
            facts = self._context.facts(slot.number, slot.runner)
            self._context.actors.emit(events.RunnerRemoved(**facts, reason=reason))

    def _measure_end(self, slot: Slot) -> None:
        """What the slot's runner was, as it leaves."""
        metrics = self._context.metrics
        if slot.resource is None and not slot.failure:
            return  # it was never started
        metrics.count(own.ENDS, end_outcome(slot, stopping=self.stopping))
        if slot.resource is not None:
            lived = self._context.clock.monotonic() - slot.started_at
            metrics.observe(own.LIFETIME, lived)
            if not slot.job_id and not slot.completed_job:
                metrics.observe(own.IDLE_SECONDS, lived)

    # -- taking over --------------------------------------------------------------------------------

    def adopt(self, resource: Resource, number: SlotNumber, running: bool) -> None:
        """A resource of ours that no slot knew is this slot's runner from now on."""
        slot = self._book.slot(number)
        if slot.state is not SlotState.EMPTY:
            return
        self._book.assign(slot, resource.runner)
        self._book.attach(slot, resource)
        self.apply(slot, SlotEvent.FOUND)
        self._child_actors.tell_runner(number, m.AdoptRunner(slot.generation, resource))
        self._context.metrics.count(own.ADOPTIONS, Adoption.TAKEN if running else Adoption.ENDED)
        if not running:
            self.resource_ended(resource.id, resource.ending)
            return
        self._context.log_of(slot).info("took over {}, which was running already", resource.runner)
        facts = self._context.facts(number, resource.runner)
        self._context.actors.emit(events.RunnerAdopted(**facts, resource=resource.id))
        if self.draining:
            self.apply(slot, SlotEvent.RETIRE, "the daemon stops")

    def start_found(self, slot: Slot, resource: Resource) -> None:
        """The start whose actor crashed did succeed."""
        self._book.attach(slot, resource)
        self.hand_over(slot, resource)
        self.apply(slot, SlotEvent.FOUND)

    def start_lost(self, slot: Slot) -> None:
        """The start whose actor crashed has left nothing at the backend, but perhaps a registration."""
        if slot.runner is not None:
            order = m.DeregisterRunner(slot.runner, slot.runner_id, self._context.scale_set_id)
            self._child_actors.tell_runner(slot.number, order)
        if not slot.failure:
            self._book.fail(slot, f"the start of {slot.runner} was lost when its actor crashed")
        self.apply(slot, SlotEvent.GONE)

    def hand_over(self, slot: Slot, resource: Resource) -> None:
        """Tell the slot's new actor what lives in the slot, and repeat the order it has not carried out."""
        self._child_actors.tell_runner(slot.number, m.AdoptRunner(slot.generation, resource))
        if slot.state is SlotState.RETIRING or _awaits_answer(slot):
            self.order_retirement(slot)
        elif slot.state is SlotState.REMOVING:
            self.order_removal(slot)


def _awaits_answer(slot: Slot) -> bool:
    """Its 10 s after JobCompleted are over, and GitHub's answer has not come."""
    return slot.state is SlotState.FINISHING and slot.deadline is None


def _source(slot: Slot) -> StartSource:
    return StartSource.POOL if slot.place.warm else StartSource.COLD


def end_outcome(slot: Slot, *, stopping: bool) -> EndOutcome:
    """Why the slot becomes empty."""
    if slot.loss is not None:
        return EndOutcome.LOST
    if slot.failure:
        return EndOutcome.FAILED
    if slot.termination_seconds:
        return EndOutcome.KILLED_DRAIN if stopping else EndOutcome.KILLED_TIMEOUT
    had_job = bool(slot.job_id or slot.completed_job)
    return EndOutcome.JOB_DONE if had_job or slot.has_ended else EndOutcome.RETIRED
