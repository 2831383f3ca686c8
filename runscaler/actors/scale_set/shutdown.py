"""The orderly stop of a scale set, phase by phase (docs/behaviour.md § 8.3).

    drain    the session is closed; idle runners are retired, busy ones have the drain-timeout
    settle   runner actors end, having removed the registrations that they still can
    close    the scale set is deleted

Each phase has a deadline, so that nothing that hangs holds the process for ever.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from runscaler.actors.messages import (
    CloseSession,
    DrainTimedOut,
    LeaveSession,
    ShutdownStepTimedOut,
    StopRunnerActor,
)
from runscaler.policy.lifecycle import SlotEvent, SlotState

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.actors.messages import StopScaleSet
    from runscaler.actors.scale_set.child_actors import ChildActors
    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.runners import Runners
    from runscaler.actors.scale_set.slots import SlotBook

FORCE_SECONDS = 60.0
"""After the drain: for the engine to remove by force what is left."""
LIST, LIST_SECONDS = "LIST", 5.0
"""How long a stop that comes before the backend's first list waits for it."""
SETTLE_SECONDS = 10.0
CLOSE_SECONDS = 25.0


class Phase(Enum):
    NOT_BEGUN = 0
    DRAIN = 1
    SETTLE = 2
    CLOSE = 3
    DONE = 4


class Shutdown:
    """`stopped` is called once, when all phases are over. `keep`: leave runners and scale set as they are."""

    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        runners: Runners,
        child_actors: ChildActors,
        conditions: Conditions,
        stopped: Callable[[], None],
    ) -> None:
        self._context, self._book, self._runners = context, book, runners
        self._child_actors, self._conditions = child_actors, conditions
        self._stopped = stopped
        self._waits_for_list = True
        self.keep = self.begun = False
        self._delete = True
        self.phase = Phase.NOT_BEGUN

    # -- drain --------------------------------------------------------------------------------------

    def begin(self, order: StopScaleSet) -> None:
        if self.begun:
            self._shorten(order)
            return
        self.begun, self.phase, self.keep = True, Phase.DRAIN, order.keep
        self._delete = order.delete
        self._child_actors.interrupt_listener(LeaveSession())
        self._runners.stop()
        self._context.after(LIST_SECONDS, ShutdownStepTimedOut(LIST))
        for slot in self._book.in_state(SlotState.WAITING):
            self._runners.apply(slot, SlotEvent.UNWANTED)
        for slot in self._book.in_state(SlotState.STARTING):
            self._runners.apply(slot, SlotEvent.RETIRE, "the daemon stops")
        if self.keep:
            self._context.after(FORCE_SECONDS, ShutdownStepTimedOut(Phase.DRAIN.name))
        else:
            self._runners.draining = True
            self._drain(order.drain_timeout)
        self.check()

    def _shorten(self, order: StopScaleSet) -> None:
        """The program stops while busy runners are waited for without an end."""
        if self.phase is not Phase.DRAIN:
            return
        if order.keep:
            self.keep = True
            self._context.after(FORCE_SECONDS, ShutdownStepTimedOut(Phase.DRAIN.name))
        else:
            self._limit_drain(order.drain_timeout)
        self.check()

    def _drain(self, drain_timeout: float | None) -> None:
        for slot in self._book.in_state(SlotState.IDLE, SlotState.ADOPTED):
            self._runners.apply(slot, SlotEvent.RETIRE, "the daemon stops")
        for slot in self._book.in_state(SlotState.RETIRING, SlotState.FINISHING):
            if slot.deadline_event is SlotEvent.GRACE_OVER and slot.deadline is not None:
                self._runners.apply(slot, SlotEvent.GRACE_OVER)
        self._limit_drain(drain_timeout)

    def _limit_drain(self, drain_timeout: float | None) -> None:
        if drain_timeout is None:
            return
        if busy := self._book.counts().busy:
            runners = "the busy runner" if busy == 1 else f"{busy} busy runners"
            self._context.log.info("waiting up to {:g} s for {}", drain_timeout, runners)
        self._context.after(drain_timeout, DrainTimedOut())

    def drain_timed_out(self) -> None:
        """Whatever still lives goes now."""
        if self.phase is not Phase.DRAIN or self.keep:
            return
        for slot in list(self._book.held()):
            if slot.state is SlotState.BUSY:
                job = slot.job or "a job"
                self._context.log.warning("{} is removed while it runs {}", slot.runner, job)
            if slot.state is SlotState.FINISHING:
                self._runners.apply(slot, SlotEvent.GRACE_OVER)
            else:
                self._runners.apply(slot, SlotEvent.OVERDUE, "drain-timeout is over")
        self._context.after(FORCE_SECONDS, ShutdownStepTimedOut(Phase.DRAIN.name))
        self.check()

    # -- from phase to phase ------------------------------------------------------------------------

    def check(self) -> None:
        """Go on where a phase is complete."""
        if self.phase is Phase.DRAIN and self._is_drained():
            self._settle()
        if self.phase is Phase.SETTLE and not self._child_actors.has_runners():
            self._close()
        if self.phase is Phase.CLOSE and not self._child_actors.has_listener():
            self._finish()

    def _is_drained(self) -> bool:
        condition = self._conditions.condition
        if self._waits_for_list and not condition.listed and condition.backend is None:
            return False  # what an earlier process left is not known yet
        counts = self._book.counts()
        return not (counts.starting + counts.waiting + counts.removing if self.keep else counts.held)

    def _settle(self) -> None:
        self.phase = Phase.SETTLE
        for slot in self._child_actors.slots():
            if not self._child_actors.tell_runner(slot, StopRunnerActor()):
                self._child_actors.forget_runner(slot)
        self._context.after(SETTLE_SECONDS, ShutdownStepTimedOut(Phase.SETTLE.name))

    def _close(self) -> None:
        self.phase = Phase.CLOSE
        self._child_actors.interrupt_listener(CloseSession(delete_scale_set=self._delete and not self.keep))
        self._context.after(CLOSE_SECONDS, ShutdownStepTimedOut(Phase.CLOSE.name))

    def listener_stopped(self) -> None:
        self._child_actors.forget_listener()
        self.check()

    def _finish(self) -> None:
        if self.phase is not Phase.DONE:
            self.phase = Phase.DONE
            self._stopped()

    def timed_out(self, what: str) -> None:
        """A phase (or the wait for the list) has taken too long: say what is left behind, go on."""
        if what == LIST:
            self._waits_for_list = False
            self.check()
            return
        if what != self.phase.name:
            return
        left = ", ".join(str(slot.runner) for slot in self._book.held()) or "what is left"
        self._context.log.warning(
            "stopping took too long ({}); the next start puts right {}", what.lower(), left
        )
        if self.phase is Phase.DRAIN:
            self._settle()
        elif self.phase is Phase.SETTLE:
            for slot in self._child_actors.slots():
                self._child_actors.forget_runner(slot)
        elif self.phase is Phase.CLOSE:
            self._finish()
        self.check()
