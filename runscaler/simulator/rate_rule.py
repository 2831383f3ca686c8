"""The rule V11: clients obey Retry-After, and bound their token refreshes and JIT calls.

Violations are recorded and never refused. A request that was already on its way when its client got the
Retry-After is allowed, and nobody needs to wait longer than 15 minutes (fault F17).

A client is a process, not a credential. What tells one from another are User-Agent and connection: a process
keeps its connections, and a later one with the same credential comes when they are closed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.clock import Clock
    from runscaler.simulator.http_messages import Connection, Request
    from runscaler.simulator.violations import Violations

ALREADY_SENT = 0.25
"""Seconds after a reply with Retry-After in which requests still arrive that were sent before it."""
TOLERANCE = 0.05
LONGEST_WAIT = 900.0
REFRESH_INTERVAL = 10.0
MOST_JIT_CALLS = 8


@dataclass(frozen=True, slots=True)
class Caller:
    """Who made a call. `credential` is its Authorization header, or whatever else the rule is about."""

    credential: str
    user_agent: str
    connection: Connection

    def same_process(self, later: Caller) -> bool:
        """Whether the same process made the later call, as far as can be told."""
        if self.connection is later.connection:
            return True
        return self.user_agent == later.user_agent and not self.connection.gone()


@dataclass(frozen=True, slots=True)
class Told:
    """The client knows since `since` that it must wait until `until`, both on the monotonic clock."""

    caller: Caller
    since: float
    until: float


class RateRule:
    def __init__(self, clock: Clock, violations: Violations) -> None:
        self._clock = clock
        self._violations = violations
        self._waits: defaultdict[str, dict[str, Told]] = defaultdict(dict)
        """The latest Retry-After by credential and User-Agent."""
        self._refreshed: defaultdict[str, dict[str, Told]] = defaultdict(dict)
        """The latest refresh by credential and User-Agent."""
        self._jit_calls: Counter[str] = Counter()
        self.most_jit_calls = 0
        """The most JIT calls that were ever in progress at once for one scale set."""

    def retry_after_sent(self, caller: Caller, retry_after: str) -> None:
        """A reply with this Retry-After (seconds or a date) goes to the caller."""
        seconds = _seconds(retry_after, self._clock.wall())
        if seconds > 0:
            now = self._clock.monotonic()
            told = Told(caller, now, now + min(seconds, LONGEST_WAIT))
            self._waits[caller.credential][caller.user_agent] = told

    def request_received(self, caller: Caller, call: str) -> None:
        now = self._clock.monotonic()
        for told in _of_process(self._waits, caller):
            if told.since + ALREADY_SENT < now < told.until - TOLERANCE:
                early = f"{told.until - now:.1f} s before the given Retry-After"
                self._violations.record(11, f"{call} came {early}")
                return

    def forget_clients(self) -> None:
        """A restarted client knows nothing of what its predecessor was told."""
        self._waits.clear()
        self._refreshed.clear()

    def token_refreshed(self, caller: Caller) -> None:
        now = self._clock.monotonic()
        last = max((told.since for told in _of_process(self._refreshed, caller)), default=float("-inf"))
        if now - last < REFRESH_INTERVAL:
            self._violations.record(11, f"a second token refresh {now - last:.1f} s after the first")
        self._refreshed[caller.credential][caller.user_agent] = Told(caller, now, now)

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


def caller_of(request: Request, credential: str) -> Caller:
    return Caller(credential, request.header("user-agent"), request.connection)


def _of_process(by_credential: defaultdict[str, dict[str, Told]], caller: Caller) -> Iterator[Told]:
    known = by_credential.get(caller.credential, {})
    return (told for told in known.values() if told.caller.same_process(caller))


def _seconds(retry_after: str, now: float) -> float:
    if retry_after.isdigit():
        return float(retry_after)
    try:
        return parsedate_to_datetime(retry_after).timestamp() - now
    except ValueError:
        return 0.0
