"""The orderly end of a scale set, step by step (docs/behaviour.md § 8.3). A part of the scale set actor.

    drain    no new jobs; idle runners are retired, busy ones have the drain-timeout
    settle   runner actors end, having removed what they owe at GitHub
    close    the session is closed and the scale set deleted

Each step has a deadline, so that nothing that hangs holds the process for ever.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from loguru import logger

from runscaler.actors.messages import (
    AnnounceCapacity,
    CloseSession,
    DrainTimedOut,
    ScaleSetMessage,
    ShutdownStepTimedOut,
    StopRunnerActor,
)
from runscaler.policy.lifecycle import SlotEvent, SlotState

if TYPE_CHECKING:
    from runscaler.actors.messages import StopScaleSet
    from runscaler.actors.scale_set.child_actors import Crew
    from runscaler.actors.scale_set.conditions import Outlook
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.config.model import ScaleSetSettings

FORCE_SECONDS = 60.0
"""After the drain: for the engine to remove what is left, by force."""
LIST, LIST_SECONDS = "LIST", 5.0
"""How long a stop that comes before the first list waits for it."""
SETTLE_SECONDS = 10.0
CLOSE_SECONDS = 25.0


class Step(Enum):
    NOT_YET = 0
    DRAIN = 1
    SETTLE = 2
    CLOSE = 3
    DONE = 4


class Office(Protocol):
    def after(self, seconds: float, message: ScaleSetMessage, /) -> None: ...
    def leave(self) -> None: ...


class Farewell:
    def __init__(
        self,
        office: Office,
        settings: ScaleSetSettings,
        runners: Runners,
        crew: Crew,
        outlook: Outlook,
    ) -> None:
        self._office, self._runners = office, runners
        self._crew, self._outlook = crew, outlook
        self._waits_for_list = True
        self._log = logger.bind(scale_set=settings.name)
        self.keep = False
        self.step = Step.NOT_YET

    @property
    def begun(self) -> bool:
        return self.step is not Step.NOT_YET

    def begin(self, order: StopScaleSet) -> None:
        if self.begun:
            return
        self.step, self.keep = Step.DRAIN, order.keep
        self._runners.hurried = True
        self._office.after(LIST_SECONDS, ShutdownStepTimedOut(LIST))
        book = self._runners.book
        for slot in book.in_state(SlotState.WAITING):
            self._runners.happen(slot, SlotEvent.UNWANTED)
        for slot in book.in_state(SlotState.STARTING):
            self._runners.happen(slot, SlotEvent.RETIRE, "the daemon stops")
        if self.keep:
            self._office.after(FORCE_SECONDS, ShutdownStepTimedOut(Step.DRAIN.name))
        else:
            self._runners.draining = True
            self._drain(order.drain_timeout)
        self.check()

    def _drain(self, drain_timeout: float) -> None:
        book = self._runners.book
        for slot in book.in_state(SlotState.IDLE, SlotState.ADOPTED):
            self._runners.happen(slot, SlotEvent.RETIRE, "the daemon stops")
        for slot in book.in_state(SlotState.RETIRING, SlotState.FINISHING):
            if slot.deadline_event is SlotEvent.GRACE_OVER and slot.deadline is not None:
                self._runners.happen(slot, SlotEvent.GRACE_OVER)
        busy = book.counts().busy
        if busy:
            self._log.info("waiting up to {:g} s for {} busy runners", drain_timeout, busy)
        if book.counts().held:
            self._announce_nothing()
        self._office.after(drain_timeout, DrainTimedOut())

    def _announce_nothing(self) -> None:
        """No new jobs. What is queued against an announced 0 may never be offered to this set again."""
        self._log.warning("announcing capacity 0 to GitHub: the scale set is being shut down")
        self._crew.cut_listener(AnnounceCapacity(0))

    def drain_over(self) -> None:
        """Whatever still lives goes now."""
        if self.step is not Step.DRAIN or self.keep:
            return
        for slot in list(self._runners.book.held()):
            if slot.state is SlotState.BUSY:
                self._log.warning("{} is removed while it runs {}", slot.runner, slot.job or "a job")
            if slot.state is SlotState.FINISHING:
                self._runners.happen(slot, SlotEvent.GRACE_OVER)
            else:
                self._runners.happen(slot, SlotEvent.OVERDUE, "drain-timeout is over")
        self._office.after(FORCE_SECONDS, ShutdownStepTimedOut(Step.DRAIN.name))
        self.check()

    def check(self) -> None:
        """Go on where a step is complete."""
        if self.step is Step.DRAIN and self._drained():
            self._settle()
        if self.step is Step.SETTLE and not self._crew.has_runners():
            self._close()
        if self.step is Step.CLOSE and not self._crew.has_listener():
            self._done()

    def _drained(self) -> bool:
        condition = self._outlook.condition
        if self._waits_for_list and not condition.listed and condition.backend is None:
            return False  # what an earlier process left is not known yet
        counts = self._runners.book.counts()
        return not (counts.starting + counts.waiting + counts.removing if self.keep else counts.held)

    def _settle(self) -> None:
        self.step = Step.SETTLE
        for slot in self._crew.slots():
            if not self._crew.tell_runner(slot, StopRunnerActor()):
                self._crew.forget_runner(slot)
        self._office.after(SETTLE_SECONDS, ShutdownStepTimedOut(Step.SETTLE.name))

    def _close(self) -> None:
        self.step = Step.CLOSE
        self._crew.cut_listener(CloseSession(delete_scale_set=not self.keep))
        self._office.after(CLOSE_SECONDS, ShutdownStepTimedOut(Step.CLOSE.name))

    def listener_stopped(self) -> None:
        self._crew.forget_listener()
        self.check()

    def over(self, what: str) -> None:
        """The step's time is up: say what is left behind, go on."""
        if what == LIST:
            self._waits_for_list = False
            self.check()
            return
        if what != self.step.name:
            return
        left = ", ".join(str(slot.runner) for slot in self._runners.book.held()) or "what is left"
        self._log.warning("stopping took too long ({}); the next start puts right {}", what.lower(), left)
        if self.step is Step.DRAIN:
            self._settle()
        elif self.step is Step.SETTLE:
            for slot in self._crew.slots():
                self._crew.forget_runner(slot)
        elif self.step is Step.CLOSE:
            self._done()
        self.check()

    def _done(self) -> None:
        if self.step is not Step.DONE:
            self.step = Step.DONE
            self._office.leave()
