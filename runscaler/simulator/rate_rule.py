"""The rule V11: clients obey Retry-After, and bound their token refreshes and JIT calls.

Violations are recorded and never refused. A request that was already on its way when its client got the
Retry-After is allowed, and nobody needs to wait longer than 15 minutes (fault F17).
"""

from __future__ import annotations

from collections import Counter
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.simulator.violations import Violations

ALREADY_SENT = 0.25
"""Seconds after a reply with Retry-After in which requests still arrive that were sent before it."""
TOLERANCE = 0.05
LONGEST_WAIT = 900.0
REFRESH_INTERVAL = 10.0
MOST_JIT_CALLS = 8


class RateRule:
    def __init__(self, clock: Clock, violations: Violations) -> None:
        self._clock = clock
        self._violations = violations
        self._waits: dict[str, tuple[float, float]] = {}
        """(when the client got its Retry-After, until when it must wait), by client."""
        self._refreshed: dict[str, float] = {}
        self._jit_calls: Counter[str] = Counter()
        self.most_jit_calls = 0
        """The most JIT calls that were ever in progress at once for one scale set."""

    def retry_after_sent(self, client: str, retry_after: str) -> None:
        """A reply with this Retry-After (seconds or a date) goes to the client."""
        seconds = _seconds(retry_after, self._clock.wall())
        if seconds > 0:
            now = self._clock.monotonic()
            self._waits[client] = (now, now + min(seconds, LONGEST_WAIT))

    def request_received(self, client: str, call: str) -> None:
        since, until = self._waits.get(client, (0.0, 0.0))
        now = self._clock.monotonic()
        if since + ALREADY_SENT < now < until - TOLERANCE:
            self._violations.record(11, f"{call} came {until - now:.1f} s before the given Retry-After")

    def forget_clients(self) -> None:
        """A restarted client knows nothing of what its predecessor was told."""
        self._waits.clear()
        self._refreshed.clear()

    def token_refreshed(self, credential: str) -> None:
        now = self._clock.monotonic()
        last = self._refreshed.get(credential)
        if last is not None and now - last < REFRESH_INTERVAL:
            self._violations.record(11, f"a second token refresh {now - last:.1f} s after the first")
        self._refreshed[credential] = now

    def allow_refresh(self, scope: str) -> None:
        """A token of this scope was refused, so the next refresh may come at any time."""
        for credential in [known for known in self._refreshed if known.endswith(f" {scope}")]:
            del self._refreshed[credential]

    def allow_refreshes(self) -> None:
        self._refreshed.clear()

    def jit_call_began(self, path: str) -> None:
        self._jit_calls[path] += 1
        self.most_jit_calls = max(self.most_jit_calls, self._jit_calls[path])
        if self._jit_calls[path] > MOST_JIT_CALLS:
            self._violations.record(11, f"{self._jit_calls[path]} JIT calls at once: {path}")

    def jit_call_ended(self, path: str) -> None:
        self._jit_calls[path] -= 1


def _seconds(retry_after: str, now: float) -> float:
    if retry_after.isdigit():
        return float(retry_after)
    try:
        return parsedate_to_datetime(retry_after).timestamp() - now
    except ValueError:
        return 0.0
