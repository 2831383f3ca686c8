"""min-runners and max-runners as they are now: a schedule and a reload change them (docs/behaviour.md § 4.2).

They stand in the context, as `context.limits`, for all parts of the scale set. Here they are kept up to date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.actors.messages import LimitsDue
from runscaler.policy.schedule import timetable

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.actors.scale_set.conditions import Conditions
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.slots import SlotBook
    from runscaler.policy.schedule import Timetable


class LimitsInForce:
    """`announce` is called with a max-runners that is another than before."""

    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        conditions: Conditions,
        announce: Callable[[int], None],
    ) -> None:
        self._context, self._book, self._conditions = context, book, conditions
        self._announce = announce
        self._timer_at: float | None = None

    def started(self) -> None:
        if self._context.timetable.window is not None:
            self._log(self._context.timetable)
        self._set_timer()

    def look(self) -> None:
        """To be called before each plan: the time may have come that they change. Cheap."""
        if not self._context.timetable.holds_at(self._context.clock.wall()):
            self.changed()

    def due(self) -> None:
        """The timer has fired."""
        self._timer_at = None
        self.look()
        self._set_timer()

    def changed(self) -> None:
        """The time has come, or `context.settings` are others than before."""
        context = self._context
        before = context.timetable
        now = context.timetable = timetable(context.settings, context.clock.wall())
        if now.limits != before.limits:
            self._log(now)
        if now.limits.max_runners != before.limits.max_runners:
            self._book.resize(now.limits.max_runners)
            self._conditions.max_runners_changed(now.limits.max_runners)
            self._announce(now.limits.max_runners)
        self._set_timer()
        context.changed()

    def _set_timer(self) -> None:
        """At most one for each time: the wall clock may be set, so that each is only a reason to look."""
        until = self._context.timetable.until
        if until is not None and until != self._timer_at:
            self._timer_at = until
            self._context.after(max(0.0, until - self._context.clock.wall()), LimitsDue())

    def _log(self, now: Timetable) -> None:
        limits, window = now.limits, now.window
        why = "" if window is None else f" (schedule, entry {window.entry})"
        self._context.log.info(
            "min-runners {}, max-runners {} from now on{}", limits.min_runners, limits.max_runners, why
        )
