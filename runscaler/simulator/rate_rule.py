"""The rule V11: who was told to wait waits, and what GitHub bounds stays bounded.

Only recorded, never refused. A request that was under way when its client was told to wait is
forgiven, as is a client that waits 15 minutes where it was told to wait longer (fault F17).
"""

from __future__ import annotations

from collections import Counter
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.simulator.violations import Violations

UNDER_WAY = 0.25
EARLY = 0.05
LONGEST = 900.0
REFRESH_GAP = 10.0
JIT_CALLS = 8


class RateRule:
    def __init__(self, clock: Clock, violations: Violations) -> None:
        self._clock = clock
        self._violations = violations
        self._told: dict[str, tuple[float, float]] = {}
        self._refreshed: dict[str, float] = {}
        self._jit_calls: Counter[str] = Counter()
        self.most_jit_calls = 0
        """The most that were under way at once for one scale set."""

    def told(self, whom: str, retry_after: str) -> None:
        """A reply with this Retry-After (seconds or a date) is on its way to `whom`."""
        seconds = _seconds(retry_after, self._clock.wall())
        if seconds > 0:
            now = self._clock.monotonic()
            self._told[whom] = (now, now + min(seconds, LONGEST))

    def asked(self, whom: str, what: str) -> None:
        refused_at, until = self._told.get(whom, (0.0, 0.0))
        now = self._clock.monotonic()
        if refused_at + UNDER_WAY < now < until - EARLY:
            self._violations.record(11, f"{what} came {until - now:.1f} s before the given Retry-After")

    def forget(self) -> None:
        """A new client knows nothing of what an earlier one was told."""
        self._told.clear()
        self._refreshed.clear()

    def refreshed(self, credential: str) -> None:
        now = self._clock.monotonic()
        last = self._refreshed.get(credential)
        if last is not None and now - last < REFRESH_GAP:
            self._violations.record(11, f"a second token refresh {now - last:.1f} s after the first")
        self._refreshed[credential] = now

    def excuse_refresh(self, scope: str) -> None:
        """A token of this scope was refused: the next refresh is called for."""
        for credential in [known for known in self._refreshed if known.endswith(f" {scope}")]:
            del self._refreshed[credential]

    def excuse_refreshes(self) -> None:
        self._refreshed.clear()

    def jit_begins(self, path: str) -> None:
        self._jit_calls[path] += 1
        self.most_jit_calls = max(self.most_jit_calls, self._jit_calls[path])
        if self._jit_calls[path] > JIT_CALLS:
            self._violations.record(11, f"{self._jit_calls[path]} JIT calls at once: {path}")

    def jit_ends(self, path: str) -> None:
        self._jit_calls[path] -= 1


def _seconds(retry_after: str, now: float) -> float:
    if retry_after.isdigit():
        return float(retry_after)
    try:
        return parsedate_to_datetime(retry_after).timestamp() - now
    except ValueError:
        return 0.0
