"""When to plan, on what, and what a plan sets in motion. A part of the scale set actor.

A change marks the view dirty; one `MakePlan` is in flight at most, however much changes meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from loguru import logger

from runscaler.actors.messages import MakePlan, PlanDue, ScaleSetMessage
from runscaler.github.messages import Statistics
from runscaler.policy.scaling import Demand, Plan, View, plan, to_acquire
from runscaler.status import Unmet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.context import ActorContext
    from runscaler.actors.scale_set.conditions import Outlook
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.messages import JobAvailable


class Office(Protocol):
    @property
    def clock(self) -> Clock: ...
    def after(self, seconds: float, message: ScaleSetMessage, /) -> None: ...
    def send_self(self, message: ScaleSetMessage, /) -> None: ...


class Planning:
    def __init__(
        self,
        office: Office,
        context: ActorContext,
        settings: ScaleSetSettings,
        runners: Runners,
        outlook: Outlook,
    ) -> None:
        self._capped = context.config.host.max_runners > 0
        self._office, self._settings = office, settings
        self._runners, self._outlook = runners, outlook
        self.statistics = Statistics()
        self.last = Plan(target=0)
        self._offers: dict[int, JobAvailable] = {}
        self._due = False
        self._looks_at: float | None = None
        self._log = logger.bind(scale_set=settings.name)

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

    def forget_offers(self) -> None:
        """A new session tells all that there are."""
        self._offers.clear()

    def soon(self) -> None:
        if not self._due:
            self._due = True
            self._office.send_self(MakePlan())

    def look_again(self) -> None:
        self._looks_at = None
        self.soon()

    def make(self, *, stopping: bool) -> None:
        """Plan on what is known now, and carry it out."""
        self._due = False
        if stopping:
            self.last = Plan(target=0)
            return
        if not self._outlook.condition.may_plan:
            return
        now = self._office.clock.monotonic()
        made = self.last = plan(self._view(now))
        if made.start:
            self._say(made)
            self._outlook.starting()
        self._runners.start(made.start)
        self._runners.drop(made.drop)
        self._runners.retire(made.retire)
        if made.next_look is not None and (self._looks_at is None or made.next_look < self._looks_at):
            self._looks_at = made.next_look
            self._office.after(max(0.0, made.next_look - now), PlanDue())

    def _view(self, now: float) -> View:
        book, settings = self._runners.book, self._settings
        past, known = self._runners.departures.past, self.statistics
        waits_for, detail = self._waits_for()
        demand = Demand(known.assigned, known.running, past.departed, past.unsettled)
        view = View(
            now,
            settings.min_runners,
            settings.max_runners,
            demand,
            book.counts(),
            settings.idle_timeout,
            gates=self._outlook.condition.gates(),
            blocked=book.blocked,
            waits_for=waits_for,
            waits_detail=detail,
        )
        return replace(view, idle=book.oldest_retirable(view.surplus)) if view.surplus > 0 else view

    def _waits_for(self) -> tuple[Unmet | None, str]:
        """What is in the way of slots that wait for their places."""
        holders = self._outlook.vm_holders
        if holders is not None:
            return Unmet.VM_LIMIT, f"the host runs as many VMs as it may: {holders or 'others of ours'}"
        return (Unmet.HOST_CAP, "the host's max-runners are in use") if self._capped else (None, "")

    def _say(self, made: Plan) -> None:
        """While GitHub is in trouble one start after another fails, for a reason that has been said."""
        self._log.log(
            "INFO" if self._outlook.condition.github is None else "DEBUG",
            "starting {}: assigned jobs {}, runners counted {}, target {}",
            "a runner" if made.start == 1 else f"{made.start} runners",
            self.statistics.assigned,
            self._runners.book.counts().counted,
            made.target,
        )
