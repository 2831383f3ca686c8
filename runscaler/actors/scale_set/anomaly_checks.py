"""The doubtful cases, looked at with every reconciliation. A part of the scale set actor.

`policy.doubts` says when a doubt has become a reason to act; acting is always the careful way: a new
session, or retiring a runner, which GitHub and the backend may still refuse.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.actors.messages import CheckRegistration, Reconnect, RefreshStatistics
from runscaler.github.messages import JobAssigned
from runscaler.policy.anomalies import LASTING_SECONDS, Absence, Starvation, contradicts, is_mute, to_replace
from runscaler.policy.lifecycle import SlotEvent, SlotState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.context import ActorContext
    from runscaler.actors.scale_set.child_actors import Crew
    from runscaler.actors.scale_set.planning import Planning
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.actors.scale_set.slots import Slot
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.messages import JobEvent, Statistics
    from runscaler.names import SlotNumber

CHECKS_AT_ONCE = 5
"""Registrations asked for in one round, so that a thousand idle runners cost GitHub no storm."""
JITTER_SECONDS = 30.0
MOST_SAID = 100


class Doubts:
    def __init__(
        self,
        context: ActorContext,
        settings: ScaleSetSettings,
        crew: Crew,
        runners: Runners,
        planning: Planning,
    ) -> None:
        self._context, self._settings = context, settings
        self._crew, self._runners, self._planning = crew, runners, planning
        self._clock = context.clock
        self._absent: dict[SlotNumber, Absence] = {}
        self._starvation = Starvation()
        self._next_check = 0
        self._said: set[str] = set()
        self._log = logger.bind(scale_set=settings.name)

    # -- messages and their statistics --------------------------------------------------------------

    def hear(self, problems: Iterable[str]) -> None:
        """What could not be read in a message: said once, however often it comes (faults F47, F68)."""
        for problem in problems:
            if problem in self._said:
                continue
            if len(self._said) >= MOST_SAID:
                self._said.clear()
            self._said.add(problem)
            self._log.warning("{}", problem)

    def weigh(self, statistics: Statistics | None, events: Iterable[JobEvent]) -> None:
        """Ask for a second opinion where statistics contradict their own batch."""
        newly_assigned = sum(isinstance(one, JobAssigned) for one in events)
        if statistics and contradicts(statistics.assigned, statistics.running, newly_assigned):
            self._log.warning("GitHub assigned jobs and counts none: asking again")
            self._crew.tell_listener(RefreshStatistics())

    def second_opinion(self, statistics: Statistics | None) -> None:
        """The larger of the two counts until the next batch."""
        if statistics is not None and statistics.assigned > self._planning.statistics.assigned:
            self._planning.count(statistics)

    # -- rounds -------------------------------------------------------------------------------------

    def look(self, last_poll: float | None) -> bool:
        """One round; `last_poll` is monotonic. True where the session was found mute."""
        self._check_registrations()
        self._feed()
        if not is_mute(self._clock.monotonic(), last_poll):
            return False
        self._log.warning("the session has been mute for three polls: opening a new one")
        self._crew.cut_listener(Reconnect())
        return True

    def _check_registrations(self) -> None:
        idle = self._runners.book.in_state(SlotState.IDLE, SlotState.ADOPTED)
        doubtful = [slot for slot in idle if slot.number in self._absent]
        turn = [slot for slot in idle if slot.number >= self._next_check] or idle
        for slot in islice(dict.fromkeys([*doubtful, *turn]), CHECKS_AT_ONCE):
            self._next_check = slot.number + 1
            self._crew.tell_runner(slot.number, CheckRegistration(slot.generation))

    def registration(self, slot: Slot, known: bool) -> None:
        """GitHub's answer. Twice absent, a minute apart, and no job: a ghost (fault F79)."""
        if known or slot.state not in (SlotState.IDLE, SlotState.ADOPTED):
            self._absent.pop(slot.number, None)
            return
        now = self._clock.monotonic()
        before = self._absent.get(slot.number)
        if before is None or before.generation != slot.generation:
            self._absent[slot.number] = Absence(slot.number, slot.generation, now)
        elif before.confirmed(now):
            del self._absent[slot.number]
            self._log.warning("{} is a ghost: GitHub has forgotten its registration", slot.runner)
            self._runners.happen(slot, SlotEvent.RETIRE, "GitHub has forgotten its registration")

    def job_started(self) -> None:
        self._starvation = self._starvation.fed()

    def _feed(self) -> None:
        """Idle runners that get nothing while jobs wait are replaced, a few at a time."""
        now, known = self._clock.monotonic(), self._planning.statistics
        idle = self._runners.book.counts().idle
        self._starvation = self._starvation.seen(now, known.assigned - known.running, idle)
        if self._starvation.is_lasting(now):
            self._starvation = self._starvation.as_told()
            self._log.warning(
                "for {:.0f} min no idle runner has got a job though GitHub counts {} that wait: its counts "
                "may be wrong, or the runners may lack a label that the jobs want; none is replaced any more",
                LASTING_SECONDS / 60,
                known.assigned - known.running,
            )
        if not self._starvation.is_over_the_line(now, self._clock.jitter(JITTER_SECONDS)):
            return
        self._starvation = self._starvation.replaced()
        if self._all_suffer():
            self._log.warning("idle runners get no jobs in any scale set: GitHub seems to be ill")
            return
        oldest = self._runners.book.oldest_retirable(to_replace(idle))
        self._log.warning("{} idle runners get no jobs though some wait: replacing {}", idle, len(oldest))
        for one in oldest:
            self._runners.happen(
                self._runners.book.slot(one.slot), SlotEvent.RETIRE, "it got no job for 3 min"
            )

    def _all_suffer(self) -> bool:
        """Do all scale sets of this process have idle runners beside waiting jobs?"""
        sets = self._context.board.read().scale_sets
        return len(sets) > 1 and all(one.idle and one.assigned_jobs > one.running_jobs for one in sets)
