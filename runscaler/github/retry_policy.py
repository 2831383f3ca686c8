"""Whether a failed call is repeated, and after how long (docs/protocol.md § 7). Nothing waits here."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from runscaler.errors import RateLimited
from runscaler.github.network_errors import Dropped, NotSent, Untrusted

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.errors import GitHubError

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
UNTRUSTED_DELAY = 60.0


class RetryMode(Enum):
    """What a second attempt of a call may do."""

    IDEMPOTENT = "idempotent"
    """It has the same effect as one attempt: repeated at once where a connection was dropped."""
    NOT_IDEMPOTENT = "not idempotent"
    """It may have an effect twice, which is harmless: repeated after a delay."""
    ONLY_IF_UNSENT = "only if unsent"
    """It must not have an effect twice: repeated only where GitHub cannot have seen the first attempt
    (docs/protocol.md § 4.6)."""


def delay_before_retry(
    error: GitHubError, attempt: int, mode: RetryMode, jitter: Callable[[float], float]
) -> float | None:
    """Seconds until the next attempt; None where there must be none. `attempt` counts from 0.

    A rate limit is waited for as GitHub asks. A dropped connection is replaced at once, but only once. A
    certificate that is not trusted is tried slowly. All else backs off exponentially with full jitter.
    """
    if not error.retryable:
        return None
    if mode is RetryMode.ONLY_IF_UNSENT and not isinstance(error, RateLimited | NotSent):
        return None
    if isinstance(error, RateLimited):
        return error.retry_after + jitter(1.0)
    if isinstance(error, Untrusted):
        return UNTRUSTED_DELAY
    if isinstance(error, Dropped) and mode is RetryMode.IDEMPOTENT and attempt == 0:
        return 0.0
    return jitter(min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt, 10)))
