"""What stands in a scale set's way, kept up to date; its state is logged once whenever it changes.

`policy.condition` decides what it all means.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runscaler import events
from runscaler.actors.place import place_of
from runscaler.errors import AccessDenied
from runscaler.findings import with_fixes
from runscaler.github.clock_skew import clock_words
from runscaler.policy.condition import DEGRADED_AFTER, Condition, FailureRecord, Hold
from runscaler.status import DegradedReason, SetState, state_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.actors.messages import BackendDown, HostShort, ImageAbsent
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.github.base import Trouble


class Conditions:
    """`condition` is the current one. `vm_holders` says who holds the host's VM slots while this scale set
    waits for one, else None; `host_short` what the host is short of while it waits for that.

    `clock_skew` tells how many seconds this host's clock is ahead of GitHub's; it does not block.
    """

    def __init__(self, context: ScaleSetContext, clock_skew: Callable[[], float]) -> None:
        self._context, self._clock_skew = context, clock_skew
        self.condition = Condition(max_runners=context.limits.max_runners)
        self.vm_holders: str | None = None
        self.host_short: HostShort | None = None
        self._announced = _announcement(self.condition)
        self._listener_trouble: Trouble | None = None
        self._calls_trouble: Trouble | None = None
        self._shown: Trouble | None = None
        self._outdated = self._poisoned = False

    # -- GitHub -----------------------------------------------------------------------------------

    def session_opened(self) -> None:
        self._forget_trouble()
        self._set(
            replace(
                self.condition,
                session=True,
                standby=None,
                github=None,
                rate_limited=False,
                listener_failed="",
            )
        )

    def standby_entered(self, reason: str, retry_at: float) -> None:
        self._forget_trouble()
        standby = Hold(reason, retry_at)
        self._set(replace(self.condition, standby=standby, github=None, rate_limited=False))

    def listener_troubled(self, trouble: Trouble | None) -> None:
        over = trouble is None and self._listener_trouble is not None
        self._listener_trouble = trouble
        self._show_trouble()
        if over:
            self.start_succeeded()  # starts that failed meanwhile failed because of GitHub

    def calls_troubled(self, trouble: Trouble | None) -> None:
        """The trouble of other calls than the listener's: their end proves nothing about the listener's."""
        self._calls_trouble = trouble
        self._show_trouble()

    def _show_trouble(self) -> None:
        """One trouble is shown: a wait that GitHub asked for, else the listener's."""
        both = [one for one in (self._listener_trouble, self._calls_trouble) if one is not None]
        if not both:
            self._shown = None
            self._set(replace(self.condition, github=None, rate_limited=False))
            return
        shown = next((one for one in both if one.rate_limited), both[0])
        self._shown = shown = self._with_known_words(shown)
        github = Hold(with_fixes(shown.reason, shown.fixes), shown.retry_at)
        self._set(replace(self.condition, github=github, rate_limited=shown.rate_limited))

    def _with_known_words(self, trouble: Trouble) -> Trouble:
        """Trouble that lasts keeps its first words, so that it is logged once however often it is met."""
        shown = self._shown
        if shown is None or not trouble.kind or trouble.kind != shown.kind:
            return trouble
        return replace(shown, retry_at=trouble.retry_at)

    def _forget_trouble(self) -> None:
        self._listener_trouble = self._calls_trouble = self._shown = None

    def listener_failed(self, reason: str) -> None:
        self._set(replace(self.condition, listener_failed=reason))

    def listener_back(self) -> None:
        self._set(replace(self.condition, listener_failed=""))

    # -- the backend ------------------------------------------------------------------------------

    def listed(self) -> None:
        """The backend has listed what there is: it answers, and what runs is known."""
        if not self.condition.listed or self.condition.backend is not None:
            self._set(replace(self.condition, listed=True, backend=None))

    def backend_down(self, down: BackendDown) -> None:
        backend = Hold(with_fixes(down.reason, down.fixes), down.retry_at)
        self._set(replace(self.condition, backend=backend))

    def image_prepared(self) -> None:
        self._set(replace(self.condition, image=None, image_failed=False, earlier_image=False))

    def image_absent(self, absent: ImageAbsent) -> None:
        reason = with_fixes(absent.reason, absent.fixes)
        if absent.earlier_serves:
            reason += "; until then runners are made with the earlier settings"
        image, serves = Hold(reason, absent.retry_at), absent.earlier_serves
        self._set(replace(self.condition, image=image, image_failed=absent.failed, earlier_image=serves))

    def vm_slots_full(self, holders: str | None) -> None:
        """The host runs as many VMs as it may; None: no VM slot is waited for."""
        self.vm_holders = holders
        self._context.changed()

    def max_runners_changed(self, max_runners: int) -> None:
        self._set(replace(self.condition, max_runners=max_runners))

    def host_is_short(self, short: HostShort) -> None:
        self.host_short = None if short.reason is None else short
        self._context.changed()

    # -- the runners ------------------------------------------------------------------------------

    def start_failed(self, ordered_at: float, reason: str, fixes: Sequence[str]) -> None:
        now = self._context.clock.monotonic()
        why = with_fixes(reason, fixes)
        jitter = self._context.clock.jitter(1.0)
        record = self.condition.failures.start_failed(ordered_at, now, jitter, why)
        if record.until > self.condition.failures.until:
            level = "WARNING" if self.condition.github is None else "DEBUG"
            wait = max(0.0, record.until - now)
            self._context.log.log(level, "{}; next try in {:.0f} s", why, wait)
        self._set_failures(record)

    def scale_set_gone(self, ordered_at: float, reason: str) -> None:
        """A start found out that the scale set is gone, before the listener did. Starts wait for that one to
        create it again, and no runner has failed."""
        now, jitter = self._context.clock.monotonic(), self._context.clock.jitter(1.0)
        self._set_failures(self.condition.failures.start_failed(ordered_at, now, jitter, reason))

    def scale_set_replaced(self) -> None:
        """It was created again: what failed in a row belonged to the one that is gone."""
        self._set_failures(FailureRecord())

    def ended_early(self, ordered_at: float, reason: str) -> None:
        """A runner ended without a job."""
        now, jitter = self._context.clock.monotonic(), self._context.clock.jitter(1.0)
        self._set_failures(self.condition.failures.ended_early(ordered_at, now, jitter, reason))

    def explain_failure(self, reason: str, more: str) -> None:
        """Add what its runner said to the failure with that reason, if it is the last one."""
        failures = self.condition.failures
        if failures.reason == reason:
            self._set_failures(replace(failures, reason=reason + more))

    def start_ordered(self) -> None:
        now, jitter = self._context.clock.monotonic(), self._context.clock.jitter(1.0)
        self._set_failures(self.condition.failures.start_ordered(now, jitter))

    def start_succeeded(self) -> None:
        if self.condition.failures.starts:
            self._set_failures(self.condition.failures.start_succeeded())

    def job_ran(self) -> None:
        """Proof that this scale set's runners are good."""
        if self.condition.failures.in_a_row:
            self._set_failures(self.condition.failures.job_ran())

    def _set_failures(self, record: FailureRecord) -> None:
        if record is not self.condition.failures:
            self._set(replace(self.condition, failures=record))

    def leftovers(self, count: int, reason: str) -> None:
        """So many ended runners cannot be removed yet, for this reason."""
        self._set(replace(self.condition, leftovers=count, leftovers_reason=reason))

    def offline(self, reason: str) -> None:
        """Runners run that GitHub does not see."""
        self._set(replace(self.condition, offline=reason))

    def online(self) -> None:
        """GitHub sees the runners: those that it did not see are no failures in a row any more."""
        if self.condition.offline:
            self._set(replace(self.condition, offline="", failures=FailureRecord()))

    def runner_outdated(self, outdated: bool) -> None:
        """Whether the latest runner that failed was refused by GitHub for its version."""
        self._outdated = outdated

    def batch_set_aside(self, aside: bool) -> None:
        """Whether the latest batch was one whose handling crashes the scale set."""
        self._poisoned = aside

    # -- the state ----------------------------------------------------------------------------------

    def draining(self, reason: str) -> None:
        self._set(replace(self.condition, draining=reason))

    def degraded_by(self) -> tuple[DegradedReason, ...]:
        """All that degrades it now."""
        condition = self.condition
        denied = self._shown is not None and self._shown.kind.startswith(AccessDenied.__name__)
        failing = condition.failures.in_a_row >= DEGRADED_AFTER or bool(condition.offline)
        holds = {
            DegradedReason.FAILING_STARTS: failing or condition.leftovers > 0,
            DegradedReason.BACKEND_DOWN: condition.backend is not None,
            DegradedReason.GITHUB: condition.github is not None and not denied,
            DegradedReason.AUTH: condition.github is not None and denied,
            DegradedReason.IMAGE: condition.image is not None and condition.image_failed,
            DegradedReason.RUNNER_OUTDATED: self._outdated and condition.failures.in_a_row > 0,
            DegradedReason.POISON_MESSAGE: self._poisoned,
        }
        return tuple(reason for reason, does in holds.items() if does)

    def _set(self, condition: Condition) -> None:
        clock = clock_words(self._clock_skew())
        self.condition = condition = replace(condition, clock=clock)
        if (announcement := _announcement(condition)) != self._announced:
            self._announced = announcement
            self._announce(*condition.state())
        self._context.changed()

    def _announce(self, state: SetState, reason: str) -> None:
        self._context.journal("state", state=str(state), reason=reason)
        bad = state in (SetState.DEGRADED, SetState.FAILED)
        then = self._next_try() if state is SetState.DEGRADED else ""
        level, text = "WARNING" if bad else "INFO", state_in_words(state, reason)
        self._context.log.log(level, "scale set is {}{}", text, then)
        self._context.actors.emit(
            events.ScaleSetChanged(
                at=self._context.clock.wall(),
                **place_of(self._context.settings),
                state=str(state),
                reason=reason,
            )
        )

    def _next_try(self) -> str:
        """When what is in the way is tried again, as the end of a line."""
        at, now = self.condition.retry_at, self._context.clock.monotonic()
        if at is None or at <= now:
            return "; trying again every few seconds"
        return f"; next try in {max(1.0, at - now):.0f} s"


def _announcement(condition: Condition) -> tuple[SetState, str]:
    """What is announced when it changes. Runners that fail, and those that cannot be removed, log their own
    reasons, each with another name and number; that they degrade the scale set is announced once."""
    state, reason = replace(condition, clock="").state()
    if reason == condition.failures.reason:
        return state, ""
    return state, "leftovers" if condition.leftovers and reason == condition.leftovers_words() else reason
