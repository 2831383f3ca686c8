"""What stands in a scale set's way, kept up to date, and its state said once whenever it changes.

A part of the scale set actor, used on its thread only; `policy.condition` decides what it all means.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loguru import logger

from runscaler import events
from runscaler.findings import with_fixes
from runscaler.policy.condition import Condition, Hold
from runscaler.status import SetState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.actors.house import House
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import Trouble
    from runscaler.policy.condition import FailureRecord


class Outlook:
    """`changed` is called after every change."""

    def __init__(self, house: House, settings: ScaleSetSettings, changed: Callable[[], None]) -> None:
        self._house, self._settings, self._changed = house, settings, changed
        self._clock = house.clock
        self.condition = Condition()
        self.vm_holders: str | None = None
        """Who holds the host's VM slots, while one is waited for."""
        self._said = _news(self.condition)
        self._listener_trouble: Trouble | None = None
        self._calls_trouble: Trouble | None = None
        self._shown: Trouble | None = None
        self._log = logger.bind(scale_set=settings.name)

    def places_full(self, holders: str | None) -> None:
        """The host runs as many VMs as it may; None: no VM slot is waited for."""
        self.vm_holders = holders
        self._changed()

    # -- GitHub -----------------------------------------------------------------------------------

    def session_opened(self) -> None:
        self._forget_trouble()
        self._become(
            replace(
                self.condition,
                session=True,
                standby=None,
                github=None,
                rate_limited=False,
                listener_failed="",
            )
        )

    def stood_by(self, reason: str, retry_at: float) -> None:
        hold = Hold(reason, retry_at)
        self._forget_trouble()
        self._become(replace(self.condition, standby=hold, github=None, rate_limited=False))

    def listener_troubled(self, trouble: Trouble | None) -> None:
        over = trouble is None and self._listener_trouble is not None
        self._listener_trouble = trouble
        self._weigh_trouble()
        if over:
            self.start_succeeded()  # starts that failed meanwhile are GitHub's, and no reason to wait

    def calls_troubled(self, trouble: Trouble | None) -> None:
        """A call that got through, or was given up, is no proof that the listener's do."""
        self._calls_trouble = trouble
        self._weigh_trouble()

    def _weigh_trouble(self) -> None:
        """One is shown: a wait that GitHub asked for, else the listener's."""
        both = [one for one in (self._listener_trouble, self._calls_trouble) if one is not None]
        if not both:
            self._shown = None
            self._become(replace(self.condition, github=None, rate_limited=False))
            return
        self._shown = self._in_known_words(next((one for one in both if one.rate_limited), both[0]))
        reason = with_fixes(self._shown.reason, self._shown.fixes)
        hold = Hold(reason, self._shown.retry_at)
        self._become(replace(self.condition, github=hold, rate_limited=self._shown.rate_limited))

    def _in_known_words(self, trouble: Trouble) -> Trouble:
        """What goes on keeps the words in which it was said: said once, however often it is tried."""
        shown = self._shown
        if shown is None or not trouble.kind or trouble.kind != shown.kind:
            return trouble
        return replace(shown, retry_at=trouble.retry_at)

    def _forget_trouble(self) -> None:
        self._listener_trouble = self._calls_trouble = self._shown = None

    def listener_failed(self, reason: str) -> None:
        """Empty: it is back."""
        self._become(replace(self.condition, listener_failed=reason))

    # -- the backend ------------------------------------------------------------------------------

    def listed(self) -> None:
        if not self.condition.listed or self.condition.backend is not None:
            self._become(replace(self.condition, listed=True, backend=None))

    def backend_down(self, reason: str, fixes: Sequence[str]) -> None:
        self._become(replace(self.condition, backend=Hold(with_fixes(reason, fixes))))

    def image_prepared(self) -> None:
        self._become(replace(self.condition, image=None, image_failed=False))

    def image_absent(self, reason: str, fixes: Sequence[str], failed: bool) -> None:
        self._become(replace(self.condition, image=Hold(with_fixes(reason, fixes)), image_failed=failed))

    # -- the runners ------------------------------------------------------------------------------

    def start_failed(self, ordered_at: float, reason: str, fixes: Sequence[str]) -> None:
        now = self._clock.monotonic()
        why = with_fixes(reason, fixes)
        record = self.condition.failures.start_failed(ordered_at, now, self._clock.jitter(1.0), why)
        if record.until > self.condition.failures.until:
            level = "WARNING" if self.condition.github is None else "DEBUG"
            self._log.log(level, "{}; next try in {:.0f} s", why, max(0.0, record.until - now))
        self._failed(record)

    def ended_early(self, ordered_at: float, reason: str) -> None:
        now, jitter = self._clock.monotonic(), self._clock.jitter(1.0)
        self._failed(self.condition.failures.ended_early(ordered_at, now, jitter, reason))

    def starting(self) -> None:
        now, jitter = self._clock.monotonic(), self._clock.jitter(1.0)
        if (record := self.condition.failures.trying(now, jitter)) is not self.condition.failures:
            self._failed(record)

    def start_succeeded(self) -> None:
        if self.condition.failures.starts:
            self._failed(self.condition.failures.started())

    def proved(self) -> None:
        """A job ran: this set's runners are good."""
        if self.condition.failures.in_a_row:
            self._failed(self.condition.failures.proved())

    def _failed(self, record: FailureRecord) -> None:
        self._become(replace(self.condition, failures=record))

    # -- the end ----------------------------------------------------------------------------------

    def draining(self) -> None:
        self._become(replace(self.condition, draining=True))

    def _become(self, condition: Condition) -> None:
        self.condition = condition
        if (news := _news(condition)) != self._said:
            self._said = news
            self._say(*condition.state())
        self._changed()

    def _say(self, state: SetState, reason: str) -> None:
        bad = state in (SetState.DEGRADED, SetState.FAILED)
        why, then = f": {reason}" if reason else "", "; trying again by itself" if bad else ""
        self._log.log("WARNING" if bad else "INFO", "scale set is {}{}{}", state, why, then)
        self._house.emit(
            events.ScaleSetChanged(
                at=self._clock.wall(), scale_set=self._settings.name, state=str(state), reason=reason
            )
        )


def _news(condition: Condition) -> tuple[SetState, str]:
    """What is said when it changes. Failing runners say why themselves, each with its own name and
    number: that they degrade the set is said once."""
    state, reason = condition.state()
    return state, "" if reason == condition.failures.reason else reason
