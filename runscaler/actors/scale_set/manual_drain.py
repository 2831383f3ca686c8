"""`runner drain` and `runner resume` (docs/behaviour.md § 9.4): no new jobs until the scale set is told to.

The session is closed, so that what is queued waits at GitHub for whoever opens the next one: a standby takes
over at once. Idle runners are retired, busy ones finish. Unlike a stop, nothing is deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.actors.messages import EnterSession, LeaveSession

if TYPE_CHECKING:
    from runscaler.actors.scale_set.child_actors import ChildActors
    from runscaler.actors.scale_set.claims import Claims
    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.runners import Runners

DRAINED_BY_HAND = "by hand, until `runner resume`"


class ManualDrain:
    """`active` from `begin` to `end`."""

    def __init__(
        self, runners: Runners, child_actors: ChildActors, claims: Claims, conditions: Conditions
    ) -> None:
        self._runners, self._child_actors = runners, child_actors
        self._claims, self._conditions = claims, conditions
        self.active = False

    def begin(self) -> None:
        """Harmless if repeated."""
        if self.active:
            return
        self.active = self._runners.draining = True
        self._runners.leave_session()
        self._conditions.draining(DRAINED_BY_HAND)
        self._claims.stop_warming(keep=False)
        self._child_actors.interrupt_listener(LeaveSession())

    def end(self) -> None:
        """Harmless where it has not begun."""
        if not self.active:
            return
        self.active = self._runners.draining = self._runners.without_session = False
        self._conditions.draining("")
        self._claims.resume_warming()
        self._child_actors.interrupt_listener(EnterSession())
