"""What stands in a scale set's way: the source of the planner's gates and of the state that people see.

One frozen value; nothing else decides whether a scale set is degraded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from runscaler.policy.backoff import Backoff
from runscaler.policy.scaling import Gate
from runscaler.status import SetState, Unmet

START_BACKOFF = Backoff(first=1.0, cap=60.0)
"""docs/behaviour.md § 5.3."""
DEGRADED_AFTER = 5
"""Runners in a row that start and end without a job (docs/behaviour.md § 5.3), or starts that fail."""


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """Failures in a row, of starts and of runners that ended without a job.

    `counted_at` and `until` are monotonic; before `until` no start is tried.

    Fifty starts that fail together are one failure: only a start that was ordered after the last counted
    failure counts anew.
    """

    starts: int = 0
    early_ends: int = 0
    counted_at: float = float("-inf")
    until: float = 0.0
    reason: str = ""

    @property
    def in_a_row(self) -> int:
        return max(self.starts, self.early_ends)

    def start_failed(self, ordered_at: float, now: float, jitter: float, reason: str) -> Self:
        if ordered_at <= self.counted_at:
            return replace(self, reason=reason)
        return replace(self, starts=self.starts + 1, reason=reason)._backed_off(now, jitter)

    def ended_early(self, ordered_at: float, now: float, jitter: float, reason: str) -> Self:
        """A runner ended without a job. Each counts towards `degraded`, the backoff as for starts."""
        counted = replace(self, early_ends=self.early_ends + 1, reason=reason)
        return counted if ordered_at <= self.counted_at else counted._backed_off(now, jitter)

    def start_ordered(self, now: float, jitter: float) -> Self:
        """A start is ordered. Where runners fail after they have started, a successful start proves nothing:
        the next start waits as if this one had failed."""
        if self.early_ends < DEGRADED_AFTER:
            return self
        return replace(self, until=now + START_BACKOFF.delay(self.in_a_row, jitter))

    def start_succeeded(self) -> Self:
        """A start succeeded. One that fails after that begins a new row, whenever it was ordered."""
        if self.early_ends:
            return replace(self, starts=0)
        return replace(self, starts=0, until=0.0, counted_at=float("-inf"))

    def job_ran(self) -> Self:
        """A job ran: this scale set's runners work."""
        return type(self)()

    def _backed_off(self, now: float, jitter: float) -> Self:
        return replace(self, counted_at=now, until=now + START_BACKOFF.delay(self.in_a_row, jitter))


@dataclass(frozen=True, slots=True)
class Hold:
    """Something is in the way for `reason`, until `until` (monotonic; None: not known)."""

    reason: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """Everything that may hold a scale set up. None, empty or False: not in the way."""

    max_runners: int = 1
    session: bool = False
    """A session has been opened since the start."""
    standby: Hold | None = None
    github: Hold | None = None
    rate_limited: bool = False
    """GitHub asked for the wait in `github`."""
    listener_failed: str = ""
    backend: Hold | None = None
    image: Hold | None = None
    image_failed: bool = False
    earlier_image: bool = False
    """What the settings before a reload need is there, so that starts go on."""
    listed: bool = False
    """The backend's first list has come, so that it is known what runs already."""
    leftovers: int = 0
    """Ended runners that cannot be removed yet, for `leftovers_reason`."""
    leftovers_reason: str = ""
    offline: str = ""
    """Runners run that GitHub does not see, in these words."""
    failures: FailureRecord = field(default_factory=FailureRecord)
    draining: str = ""
    """Why it is stopping."""
    clock: str = ""
    """How far this host's clock is from GitHub's, if that is far: said beside other trouble, which it may
    cause (fault F96)."""

    @property
    def may_plan(self) -> bool:
        """Is the demand known, and is the scale set ours to serve? Missing lists are a gate, see `gates`."""
        return self.session and self.standby is None

    @property
    def is_serving(self) -> bool:
        """Do we hold a session, and does GitHub answer?"""
        return self.may_plan and self.github is None and not self.listener_failed

    def gates(self) -> tuple[Gate, ...]:
        """What holds starts up, the most telling reason first."""
        found = []
        if self.backend is not None:
            found.append(Gate(Unmet.BACKEND_DOWN, self.backend.reason))
        elif not self.listed:
            found.append(Gate(Unmet.PAUSED, "waiting for the list of what runs already"))
        if self.image is not None and not self.earlier_image:
            found.append(Gate(Unmet.PAUSED, self.image.reason))
        if self.github is not None and self.rate_limited:
            found.append(Gate(Unmet.RATE_LIMIT, self.github.reason, self.github.until))
        if self.leftovers >= self.max_runners:
            found.append(Gate(Unmet.PAUSED, self.leftovers_words()))
        if self.failures.in_a_row:
            found.append(Gate(Unmet.BACKOFF, self.failures.reason, self.failures.until))
        if self.failures.in_a_row >= DEGRADED_AFTER:
            found.append(Gate(Unmet.BACKOFF, self.failures.reason, allowed=1))
        return tuple(found)

    @property
    def retry_at(self) -> float | None:
        """When what keeps the scale set from serving is tried again (monotonic); None: nothing does, or it is
        not known."""
        if self.draining or self.listener_failed:
            return None
        worst = self._worst()
        shown = worst if worst is not None else self.standby
        return None if shown is None else shown.until

    def state(self) -> tuple[SetState, str]:
        """The state that people see, with its reason."""
        if self.draining:
            held_up = "" if self.backend is None else f"; {self.backend.reason}"
            return SetState.DRAINING, self.draining + held_up
        if self.listener_failed:
            return SetState.FAILED, self.listener_failed
        if (worst := self._worst()) is not None:
            return SetState.DEGRADED, self._with_clock(worst.reason)
        if self.standby is not None:
            return SetState.STANDBY, self.standby.reason
        if not self.session or not self.listed:
            return SetState.STARTING, "connecting"
        return SetState.OK, "" if self.image is None else self.image.reason

    def _with_clock(self, reason: str) -> str:
        return f"{reason} ({self.clock})" if self.clock and self.clock not in reason else reason

    def _worst(self) -> Hold | None:
        if self.backend is not None:
            return self.backend
        if self.github is not None:
            return self.github
        if self.image is not None and self.image_failed:
            return self.image
        if self.offline:
            return Hold(self.offline)
        if self.leftovers:
            return Hold(self.leftovers_words())
        if self.failures.early_ends >= DEGRADED_AFTER or self.failures.starts >= DEGRADED_AFTER:
            return Hold(self.failures.reason, self.failures.until)
        return None

    def leftovers_words(self) -> str:
        """How many ended runners cannot be removed yet, and why."""
        runners = "an ended runner" if self.leftovers == 1 else f"{self.leftovers} ended runners"
        return f"{runners} cannot be removed yet: {self.leftovers_reason}"
