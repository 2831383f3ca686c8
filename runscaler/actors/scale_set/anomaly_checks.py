"""Anomalies, looked for with every reconciliation: counts that contradict themselves, sessions without
polls, registrations that went, runners that get no job.

`policy.anomalies` says when a suspicion has become a reason to act. Acting is always the careful way: a
new session, or retiring a runner, which GitHub and the backend may still refuse.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from runscaler.actors.messages import CheckRegistration, Reconnect, RefreshStatistics
from runscaler.github.messages import JobAssigned
from runscaler.policy.anomalies import (
    LASTING_SECONDS,
    Absence,
    Starvation,
    contradicts,
    is_mute,
    to_replace,
)
from runscaler.policy.lifecycle import SlotEvent, SlotState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.scale_set.child_actors import ChildActors
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.planning import Planning
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.actors.scale_set.slots import Slot, SlotBook
    from runscaler.github.messages import JobEvent, Statistics
    from runscaler.names import SlotNumber

CHECKS_AT_ONCE = 5
"""Registrations asked for in one round, so that a thousand idle runners cost GitHub no storm."""
JITTER_SECONDS = 30.0
_REMEMBERED_PROBLEMS = 100


class AnomalyChecks:
    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        runners: Runners,
        planning: Planning,
        child_actors: ChildActors,
    ) -> None:
        self._context, self._book, self._runners = context, book, runners
        self._planning, self._child_actors = planning, child_actors
        self._absent: dict[SlotNumber, Absence] = {}
        self._starvation = Starvation()
        self._next_check = 0
        self._logged_problems: set[str] = set()

    # -- messages and their statistics --------------------------------------------------------------

    def log_problems(self, problems: Iterable[str]) -> None:
        """What could not be read in a message: logged once, however often it comes (faults F47, F68)."""
        for problem in problems:
            if problem in self._logged_problems:
                continue
            if len(self._logged_problems) >= _REMEMBERED_PROBLEMS:
                self._logged_problems.clear()
            self._logged_problems.add(problem)
            self._context.log.warning("{}", problem)

    def compare_counts(self, statistics: Statistics | None, events: Iterable[JobEvent]) -> None:
        """Have the statistics refreshed where they contradict their own batch."""
        newly_assigned = sum(isinstance(one, JobAssigned) for one in events)
        if statistics and contradicts(statistics.assigned, statistics.running, newly_assigned):
            self._context.log.warning("GitHub assigned jobs and counts none: asking again")
            self._child_actors.tell_listener(RefreshStatistics())

    def statistics_refreshed(self, statistics: Statistics | None) -> None:
        """The larger of the two counts holds until the next batch."""
        if statistics is not None and statistics.assigned > self._planning.statistics.assigned:
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
        idle = self._book.in_state(SlotState.IDLE, SlotState.ADOPTED)
        suspected = [slot for slot in idle if slot.number in self._absent]
        turn = [slot for slot in idle if slot.number >= self._next_check] or idle
        for slot in islice(dict.fromkeys([*suspected, *turn]), CHECKS_AT_ONCE):
            self._next_check = slot.number + 1
            self._child_actors.tell_runner(slot.number, CheckRegistration(slot.generation))

    def registration_checked(self, slot: Slot, known: bool) -> None:
        """GitHub's answer. A registration that is absent twice, a minute apart, is gone (fault F79)."""
        if known or slot.state not in (SlotState.IDLE, SlotState.ADOPTED):
            self._absent.pop(slot.number, None)
            return
        now = self._context.clock.monotonic()
        before = self._absent.get(slot.number)
        if before is None or before.generation != slot.generation:
            self._absent[slot.number] = Absence(slot.number, slot.generation, now)
        elif before.confirmed(now):
            del self._absent[slot.number]
            self._context.log.warning("{} is a ghost: GitHub has forgotten its registration", slot.runner)
            self._runners.apply(slot, SlotEvent.RETIRE, "GitHub has forgotten its registration")

    def job_started(self) -> None:
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
        oldest = self._book.oldest_retirable(to_replace(idle))
        self._context.log.warning(
            "{} idle runners get no jobs though some wait: replacing {}", idle, len(oldest)
        )
        self._runners.retire((one.slot for one in oldest), "it got no job for 3 min")

    def _is_everywhere(self) -> bool:
        """Do all scale sets of this process have idle runners beside waiting jobs?"""
        sets = self._context.actors.board.read().scale_sets
        return len(sets) > 1 and all(one.idle and one.assigned_jobs > one.running_jobs for one in sets)
