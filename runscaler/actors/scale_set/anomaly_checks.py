"""Anomalies, looked for with every reconciliation: counts that contradict themselves, sessions without
polls, registrations that went, runners that get no job.

`policy.anomalies` says when a suspicion has become a reason to act. Acting is always the careful way: a
new session, or retiring a runner, which GitHub and the backend may still refuse.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from runscaler.actors.messages import CheckRegistration, Reconnect, RefreshStatistics, RegistrationChecked
from runscaler.actors.scale_set.job_texts import plain
from runscaler.github.messages import JobAssigned
from runscaler.metrics.own import REPAIRS
from runscaler.metrics.words import Repair
from runscaler.policy.anomalies import (
    COUNTS_AGE_SECONDS,
    FRESH_SECONDS,
    LASTING_SECONDS,
    ONLINE_SECONDS,
    STARVED_SECONDS,
    Absence,
    Starvation,
    checks_at_once,
    contradicts,
    is_mute,
    missing_runners,
    to_replace,
)
from runscaler.policy.lifecycle import SlotEvent, SlotState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.scale_set.child_actors import ChildActors
    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.planning import Planning
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.github.messages import JobEvent, Statistics
    from runscaler.names import SlotNumber

JITTER_SECONDS = 30.0
PROBLEM_SECONDS = 600.0
"""How long a problem that comes again is not logged again."""
_REMEMBERED_PROBLEMS = 100
_LIVE = (SlotState.IDLE, SlotState.ADOPTED, SlotState.BUSY)


class AnomalyChecks:
    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        runners: Runners,
        planning: Planning,
        child_actors: ChildActors,
        conditions: Conditions,
    ) -> None:
        self._context, self._book, self._runners = context, book, runners
        self._planning, self._child_actors = planning, child_actors
        self._conditions = conditions
        self._absent: dict[SlotNumber, Absence] = {}
        self._starvation = Starvation()
        self._next_check = 0
        self._problems: dict[str, float] = {}
        """When each problem was last logged (monotonic)."""
        self._counted_at = float("-inf")
        """When GitHub's counts last came (monotonic)."""
        self._all_online_at = float("-inf")
        """When they last showed all our runners connected."""
        self._refreshed_at = float("-inf")
        self._second_opinion = False
        """A refresh was asked for because a batch contradicts itself (fault F66)."""

    # -- messages and their statistics --------------------------------------------------------------

    def log_problems(self, problems: Iterable[str]) -> None:
        """What could not be read in a message: logged again only after a while (faults F47, F68)."""
        now = self._context.clock.monotonic()
        for problem in problems:
            if now - self._problems.get(problem, float("-inf")) < PROBLEM_SECONDS:
                continue
            if len(self._problems) >= _REMEMBERED_PROBLEMS:
                self._problems.clear()
            self._problems[problem] = now
            self._context.log.warning("{}", problem)

    def counted(self, statistics: Statistics | None) -> None:
        """GitHub's counts came: do they show all our runners connected?"""
        if statistics is None:
            return
        now, counts = self._context.clock.monotonic(), self._book.counts()
        self._counted_at = now
        if statistics.busy + statistics.idle >= counts.idle + counts.busy + counts.adopted > 0:
            self._all_online_at = now
            self._conditions.online()

    def compare_counts(self, statistics: Statistics | None, events: Iterable[JobEvent]) -> None:
        """Have the statistics refreshed where they contradict their own batch."""
        newly_assigned = sum(isinstance(one, JobAssigned) for one in events)
        if statistics and contradicts(statistics.assigned, statistics.running, newly_assigned):
            self._context.log.warning("GitHub assigned jobs and counts none: asking again")
            self._second_opinion = True
            self._child_actors.tell_listener(RefreshStatistics())

    def statistics_refreshed(self, statistics: Statistics | None) -> None:
        """Of two opinions the larger count holds until the next batch. Counts that are refreshed because they
        are old take their place: no batch may ever come that says that a job is over (fault F88)."""
        is_second_opinion, self._second_opinion = self._second_opinion, False
        if statistics is None:
            return
        if not is_second_opinion or statistics.assigned > self._planning.statistics.assigned:
            self._planning.count(statistics)

    # -- rounds -------------------------------------------------------------------------------------

    def look(self, last_poll: float | None) -> bool:
        """One round. `last_poll` is monotonic; returns whether the session was found mute."""
        self._check_registrations()
        self._check_starvation()
        if not is_mute(self._context.clock.monotonic(), last_poll):
            return False
        self._context.log.warning("the session has been mute for three polls: opening a new one")
        self._child_actors.interrupt_listener(Reconnect())
        return True

    def _check_registrations(self) -> None:
        """First those whose absence is due for proof, then where a contradiction points, then in turn."""
        if self._conditions.condition.rate_limited:
            return  # starts need what GitHub still allows
        live, now = self._book.in_state(*_LIVE), self._context.clock.monotonic()
        due = [slot for slot in live if (seen := self._seen_absent(slot)) and seen.confirmed(now)]
        others = [slot for slot in live if self._seen_absent(slot) is None]
        unseen = [slot for slot in others if self._should_be_online(slot)]
        turn = [slot for slot in others if slot.number >= self._next_check] or others
        known, counts = self._planning.statistics, self._book.counts()
        busy = [slot for slot in turn if slot.state is SlotState.BUSY] if counts.busy > known.running else []
        missing = missing_runners(known.running, known.registered, counts.busy, len(live))
        limit = checks_at_once(len(live), missing)
        for slot in islice(dict.fromkeys([*due, *unseen, *busy, *turn]), limit):
            self._next_check = slot.number + 1
            self._child_actors.tell_runner(slot.number, CheckRegistration(slot.generation))

    def _seen_absent(self, slot: Slot) -> Absence | None:
        absence = self._absent.get(slot.number)
        return absence if absence is not None and absence.generation == slot.generation else None

    def registration_checked(self, slot: Slot, report: RegistrationChecked) -> None:
        """GitHub's answer. A registration that is absent twice, a minute apart, is gone (faults F79, F88)."""
        if slot.state not in _LIVE:
            self._absent.pop(slot.number, None)
        elif report.known:
            self._absent.pop(slot.number, None)
            self._book.note_forgotten(slot, False)
            self._check_connection(slot, report)
        elif (before := self._seen_absent(slot)) is None:
            now = self._context.clock.monotonic()
            self._absent[slot.number] = Absence(slot.number, slot.generation, now)
            if slot.state is SlotState.BUSY:
                self.refresh_counts()
        elif before.confirmed(self._context.clock.monotonic()):
            self._registration_gone(slot)

    def _registration_gone(self, slot: Slot) -> None:
        """A busy runner is doubted only where GitHub's counts miss a running job, too."""
        counts = self._book.counts()
        if slot.state is SlotState.BUSY and self._planning.statistics.running >= counts.busy:
            self.refresh_counts()
            return
        del self._absent[slot.number]
        self._book.note_forgotten(slot, True)
        self._context.metrics.count(REPAIRS, Repair.GHOST)
        what = "runs, but" if slot.state is SlotState.BUSY else "is idle, but"
        self._context.log_of(slot).warning("{} {} GitHub has forgotten its registration", slot.runner, what)
        self._runners.apply(slot, SlotEvent.RETIRE, "GitHub has forgotten its registration")

    # -- runners that GitHub does not see -------------------------------------------------------------

    def _should_be_online(self, slot: Slot) -> bool:
        """Has it been up for long without any proof that it is connected?"""
        now = self._context.clock.monotonic()
        unproven = not slot.online and slot.started_at > self._all_online_at - COUNTS_AGE_SECONDS
        waits = slot.state in (SlotState.IDLE, SlotState.ADOPTED)
        return waits and unproven and now - slot.started_at >= ONLINE_SECONDS

    def _check_connection(self, slot: Slot, report: RegistrationChecked) -> None:
        if report.online:
            self._book.note_online(slot)
            self._conditions.online()
        elif self._should_be_online(slot) and (report.online is False or self._counts_show_it_offline()):
            self._offline(slot, report.last_line)

    def _counts_show_it_offline(self) -> bool:
        """Where GitHub does not tell of single runners, its counts do, if they are fresh."""
        if self._context.clock.monotonic() - self._counted_at > FRESH_SECONDS:
            self.refresh_counts()
            return False
        known, counts = self._planning.statistics, self._book.counts()
        connected, live = known.busy + known.idle, counts.idle + counts.busy + counts.adopted
        return known.registered > connected and connected < live

    def refresh_counts(self) -> None:
        """At most once a minute: a refreshed session brings fresh counts."""
        now = self._context.clock.monotonic()
        if now - self._refreshed_at >= FRESH_SECONDS:
            self._refreshed_at = now
            self._child_actors.tell_listener(RefreshStatistics())

    def _offline(self, slot: Slot, last_line: str) -> None:
        """It runs, and GitHub does not see it: it counts as failed and is replaced (fault F76)."""
        shown = f"; its last line of output: {plain(last_line)}" if last_line else ""
        reason = (
            f"{slot.runner} has run for {ONLINE_SECONDS:.0f} s, but GitHub does not see it: can it reach "
            f"GitHub from where it runs (DNS, proxy, firewall), and does its image start the runner?{shown}"
        )
        self._conditions.offline(reason)
        self._runners.offline(slot, reason)

    # -- runners that get no job ----------------------------------------------------------------------

    def job_started(self) -> None:
        self._conditions.online()
        self._starvation = self._starvation.job_started()

    def _check_starvation(self) -> None:
        """Replace idle runners that get nothing while jobs wait, a few at a time."""
        now, known = self._context.clock.monotonic(), self._planning.statistics
        waiting, idle = known.assigned - known.running, self._book.counts().idle
        self._starvation = self._starvation.seen(now, waiting, idle)
        if self._starvation.is_lasting(now):
            self._starvation = self._starvation.as_logged()
            self._context.log.warning(
                "for {:.0f} min no idle runner has got a job though GitHub counts {} that wait: its counts "
                "may be wrong, or the runners may lack a label that the jobs want; none is replaced any more",
                LASTING_SECONDS / 60,
                waiting,
            )
        if not self._starvation.calls_for_replacement(now, self._context.clock.jitter(JITTER_SECONDS)):
            return
        self._starvation = self._starvation.replaced()
        if self._is_everywhere():
            self._context.log.warning("idle runners get no jobs in any scale set: GitHub seems to be ill")
            return
        oldest = [
            one for one in self._book.oldest_retirable(to_replace(idle)) if now - one.since >= STARVED_SECONDS
        ]
        if not oldest:
            return
        self._context.log.warning(
            "{} idle runners get no jobs though some wait: replacing {}", idle, len(oldest)
        )
        self._runners.retire((one.slot for one in oldest), "it got no job for 3 min")

    def _is_everywhere(self) -> bool:
        """Do all scale sets of this process have idle runners beside waiting jobs?"""
        sets = self._context.actors.board.read().scale_sets
        return len(sets) > 1 and all(one.idle and one.assigned_jobs > one.running_jobs for one in sets)
