"""When and after how long a call is made again (docs/protocol.md § 7): decisions only, no waiting here."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING

from runscaler.errors import RateLimited
from runscaler.github.network_errors import Dropped, NotSent, Untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runscaler.errors import GitHubError

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
SLOW_DELAY = 60.0
LONGEST_WAIT = 900.0
SECONDARY_WAIT = 60.0
LIMITING = (403, 429, 503)


class RetryMode(Enum):
    """What may be done again after a failure: `SAFE` has the same effect twice, `UNSENT` is repeated
    only while GitHub cannot have seen it (docs/protocol.md § 4.6), `LATER` is neither."""

    IDEMPOTENT = "idempotent"
    NOT_IDEMPOTENT = "not idempotent"
    ONLY_IF_UNSENT = "only if unsent"


def delay_before_retry(
    error: GitHubError, attempt: int, retry: RetryMode, jitter: Callable[[float], float]
) -> float | None:
    """Seconds until the next try; None: this error is final. `attempt` counts from 0.

    What GitHub asked for is obeyed, a lost connection is mended at once (once), what is not trusted is
    tried slowly, the rest backs off with full jitter.
    """
    if not error.retryable:
        return None
    if retry is RetryMode.ONLY_IF_UNSENT and not isinstance(error, RateLimited | NotSent):
        return None
    if isinstance(error, RateLimited):
        return error.retry_after + jitter(1.0)
    if isinstance(error, Untrusted):
        return SLOW_DELAY
    if isinstance(error, Dropped) and retry is RetryMode.IDEMPOTENT and attempt == 0:
        return 0.0
    return jitter(min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt, 10)))


def asked_to_wait(
    status: int, headers: Mapping[str, str], text: str, *, now: float, repeats: int
) -> float | None:
    """Seconds that a reply asks us to wait; None: it asks for nothing, or names no time.

    `now` is the server's wall clock, `repeats` how many secondary limits came in a row before this
    one (they double without a Retry-After). Never more than 15 minutes (fault F17).
    """
    if status not in LIMITING:
        return None
    asked = _retry_after(headers.get("Retry-After", ""), now)
    if asked is None:
        asked = _until_reset(headers, now)
    if asked is None and status != 503 and _is_secondary(text):
        asked = SECONDARY_WAIT * 2.0 ** min(repeats, 10)
    if asked is None:
        return None
    return min(LONGEST_WAIT, max(1.0, asked))


def is_primary(headers: Mapping[str, str]) -> bool:
    """The hourly budget of the REST API is used up: it bounds REST calls only (fault F16)."""
    return headers.get("X-RateLimit-Remaining", "").strip() == "0" and "Retry-After" not in headers


def _is_secondary(text: str) -> bool:
    lowered = text.lower()
    return "secondary rate limit" in lowered or "abuse detection" in lowered


def _retry_after(value: str, now: float) -> float | None:
    """Seconds or a date; what is negative or neither is ignored."""
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
    if not is_primary(headers) or not (reset.isascii() and reset.isdigit()):
        return None
    return max(0.0, float(reset[:12]) - now) + 1.0
