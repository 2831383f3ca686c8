"""GitHub's rate limits: what a reply asks for, and for how long each host must be left alone."""

from __future__ import annotations

import threading
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from runscaler.errors import RateLimited
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.clock import Clock
    from runscaler.github.wire import Request

LONGEST_WAIT = 900.0
UNTOLD_WAIT = 60.0
LONG_PAST = 60.0
"""A reset that is past by more than a clock may be wrong tells nothing."""
LIMITING_STATUSES = (403, 429, 503)
_REST = "rest "


class RateLimits:
    """The rate limits of one credential, by host. A spent REST budget holds up REST calls only (fault F16).

    Thread-safe: a limit that one call runs into holds for every later call.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._in_a_row: dict[str, int] = {}

    def check(self, request: Request) -> None:
        """Raises `RateLimited`, with the seconds that are left, while the request's host is limited."""
        left = self._left(request)
        if left > 0:
            pause = format_duration(max(1, round(left)))
            line = f"rate limited: could not {request.what} yet: {request.host} asks for a pause of {pause}"
            raise RateLimited(line, retry_after=left)

    def limited(self, request: Request, seconds: float, *, primary: bool) -> float:
        """A reply asked for a pause. If its request was sent before the host was limited, it counts as the
        same limit. Returns how many seconds the pause is longer than was known."""
        key = (_REST if primary and request.rest else "") + request.host
        with self._lock:
            if self._left(request) <= 0:
                self._in_a_row[request.host] = self._in_a_row.get(request.host, 0) + 1
            now = self._clock.monotonic()
            until, known = now + seconds, max(now, self._until.get(key, 0.0))
            self._until[key] = max(known, until)
            return max(0.0, until - known)

    def passed(self, request: Request) -> None:
        """A call went through: the next limit is the first in a row again."""
        if self._in_a_row:
            with self._lock:
                self._in_a_row.pop(request.host, None)

    def in_a_row(self, request: Request) -> int:
        """How many limits the host has set in a row, without the one that a reply tells of just now."""
        with self._lock:
            known = self._in_a_row.get(request.host, 0)
            return known if self._left(request) <= 0 else max(0, known - 1)

    def _left(self, request: Request) -> float:
        keys = (request.host, _REST + request.host) if request.rest else (request.host,)
        return max(self._until.get(key, 0.0) for key in keys) - self._clock.monotonic()


def requested_pause(
    status: int, headers: Mapping[str, str], text: str, *, now: float, in_a_row: int
) -> float | None:
    """Seconds that a reply asks us to wait, 15 minutes at most (fault F17); None where it names no time.

    `now` is the server's wall clock. A limit that tells no time that can be used means a minute, doubled for
    each of the `in_a_row` limits before it.
    """
    if status not in LIMITING_STATUSES:
        return None
    asked = _retry_after(headers.get("Retry-After", ""), now)
    if asked is None:
        asked = _until_reset(headers, now)
    if asked is None and status != 503 and (_budget_is_spent(headers) or _is_limit(text)):
        asked = UNTOLD_WAIT * 2.0 ** min(in_a_row, 10)
    if asked is None:
        return None
    return min(LONGEST_WAIT, max(1.0, asked))


def is_primary(headers: Mapping[str, str]) -> bool:
    """Is the hourly budget of the REST API spent? That limits REST calls only (fault F16)."""
    return _budget_is_spent(headers) and "Retry-After" not in headers


def _budget_is_spent(headers: Mapping[str, str]) -> bool:
    return headers.get("X-RateLimit-Remaining", "").strip() == "0"


def _is_limit(text: str) -> bool:
    lowered = text.lower()
    return "rate limit" in lowered or "abuse detection" in lowered


def _retry_after(value: str, now: float) -> float | None:
    """Of seconds or a date; None for a time that is past or cannot be read."""
    stripped = value.strip()
    if stripped.isascii() and stripped.isdigit():
        return float(stripped[:12])
    try:
        seconds = parsedate_to_datetime(stripped).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None


def _until_reset(headers: Mapping[str, str], now: float) -> float | None:
    reset = headers.get("X-RateLimit-Reset", "").strip()
    if not _budget_is_spent(headers) or not (reset.isascii() and reset.isdigit()):
        return None
    left = float(reset[:12]) - now
    return None if left < -LONG_PAST else max(0.0, left) + 1.0
