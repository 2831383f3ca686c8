"""When to plan, on what, and what a plan sets in motion.

A change makes a plan due. It is made at the end of the message that brought the change where no other
message waits, else behind those that wait: so many changes cost one plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runscaler.actors.messages import PlanDue
from runscaler.github.messages import Statistics
from runscaler.policy.scaling import Demand, Plan, View, plan, to_acquire
from runscaler.status import Unmet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.ended_runners import EndedRunners
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.actors.scale_set.slots import SlotBook
    from runscaler.github.messages import JobAvailable


class Planning:
    """`due` says whether anything has changed since the last plan; `last` is that plan."""

    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        runners: Runners,
        ended: EndedRunners,
        conditions: Conditions,
    ) -> None:
        self._context, self._book = context, book
        self._runners, self._ended, self._conditions = runners, ended, conditions
        self.statistics = Statistics()
        self.last = Plan(target=0)
        self.due = False
        self._offers: dict[int, JobAvailable] = {}
        self._next_look: float | None = None

    # -- what GitHub tells --------------------------------------------------------------------------

    def count(self, statistics: Statistics | None) -> None:
        """Take GitHub's counts; unknown is not zero, the last good ones stay."""
        if statistics is not None:
            self.statistics = statistics

    def acquire(self, capacity: int, offers: Iterable[JobAvailable]) -> tuple[int, ...]:
        """Which of the offered jobs to take. Those beyond free capacity are not offered again: they are
        kept for when there is some (fault F57)."""
        known = self.statistics
        new = {offer.request_id: offer for offer in offers}
        if not new and not known.available:
            self._offers.clear()
        self._offers.update(new)
        oldest_first = sorted(self._offers.values(), key=lambda offer: offer.queued_at or 0.0)
        wanted = [offer.request_id for offer in oldest_first]
        taken = to_acquire(capacity, known.acquired, known.assigned, wanted)
        for request_id in taken:
            del self._offers[request_id]
        return taken

    def misses_offers(self, capacity: int, *, in_vain: bool) -> bool:
        """Does GitHub count offered jobs that there is room for, and that no message has told of? An offer
        may be lost (fault F89). `in_vain`: a poll ended without a message, so that none is being acquired,
        and those that are remembered may be over."""
        known = self.statistics
        free = capacity - known.acquired - known.assigned
        return known.available > 0 and free > 0 and (in_vain or not self._offers)

    def forget_offers(self) -> None:
        """A new session tells all offers anew."""
        self._offers.clear()

    # -- planning -----------------------------------------------------------------------------------

    def look_again(self) -> None:
        """The time has come that the last plan named."""
        self._next_look = None
        self.due = True

    def make(self, *, stopping: bool, draining: bool) -> None:
        """Plan on what is known now, and carry it out. `stopping`: nothing is planned any more. `draining`:
        idle runners go, and none is started."""
        self.due = False
        if stopping:
            self.last = Plan(target=0)
            return
        if not self._conditions.condition.may_plan:
            return
        now = self._context.clock.monotonic()
        made = self.last = plan(self._view(now, draining=draining))
        if made.start or made.drop or made.retire:
            self._journal(made)
        if made.start:
            self._log_start(made)
            self._conditions.start_ordered()
        self._runners.start(made.start)
        self._runners.drop(made.drop)
        self._runners.retire(made.retire, "not needed any more")
        if made.next_look is not None and (self._next_look is None or made.next_look < self._next_look):
            self._next_look = made.next_look
            self._context.after(max(0.0, made.next_look - now), PlanDue())

    def _journal(self, made: Plan) -> None:
        counts = self._book.counts()
        self._context.journal(
            "plan",
            target=made.target,
            start=made.start,
            drop=made.drop,
            retire=made.retire,
            counted=counts.counted,
            assigned=self.statistics.assigned,
        )

    def _view(self, now: float, *, draining: bool) -> View:
        limits, known = self._context.limits, self.statistics
        waits_for, detail, look_at = self._waits_for()
        demand = Demand(known.assigned, known.running, self._ended.had_job, self._ended.probably_had_job)
        view = View(
            now,
            limits.min_runners,
            limits.max_runners,
            demand,
            self._book.counts(),
            self._context.settings.idle_timeout,
            gates=self._conditions.condition.gates(),
            blocked=self._book.blocked,
            waits_for=waits_for,
            waits_detail=detail,
            waits_look_at=look_at,
            draining=draining,
        )
        if view.surplus <= 0:
            return view
        return replace(view, idle=self._book.oldest_retirable(view.surplus))

    def _waits_for(self) -> tuple[Unmet | None, str, float | None]:
        """What waiting slots wait for, details for people, and when that is looked at next (wall-clock)."""
        short, holders, clock = self._conditions.host_short, self._conditions.vm_holders, self._context.clock
        if short is not None:
            look_at = clock.wall() + short.look_at - clock.monotonic()
            return Unmet.HOST_GUARD, short.reason or "", look_at
        if holders is not None:
            return Unmet.VM_LIMIT, f"the host runs as many VMs as it may: {holders or 'others of ours'}", None
        if self._context.actors.config.host.max_runners > 0:
            return Unmet.HOST_CAP, "the host's max-runners are in use", None
        return None, "", None

    def _log_start(self, made: Plan) -> None:
        """While GitHub is in trouble, one start after another fails for a reason that has been logged."""
        self._context.log.log(
            "INFO" if self._conditions.condition.github is None else "DEBUG",
            "starting {}: assigned jobs {}, runners counted {}, target {}",
            "a runner" if made.start == 1 else f"{made.start} runners",
            self.statistics.assigned,
            self._book.counts().counted,
            made.target,
        )
