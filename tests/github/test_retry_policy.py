"""Whether a call is repeated, and after how long (docs/protocol.md § 7)."""

from __future__ import annotations

import pytest

from runscaler.errors import (
    AccessDenied,
    GitHubError,
    NotFound,
    RateLimited,
    Refused,
    ServerError,
    Unreachable,
)
from runscaler.github.network_errors import Dropped, NotSent, Untrusted
from runscaler.github.retry_policy import RetryMode, delay_before_retry


def longest(seconds: float) -> float:
    return seconds


def delay(error: GitHubError, attempt: int = 0, mode: RetryMode = RetryMode.IDEMPOTENT) -> float | None:
    return delay_before_retry(error, attempt, mode, longest)


@pytest.mark.parametrize("error", [AccessDenied("x"), NotFound("x"), Refused("x")])
def test_a_definite_no_is_final(error: GitHubError) -> None:
    assert delay(error) is None


def test_the_delay_doubles_from_a_second_to_a_minute() -> None:
    delays = [delay(ServerError("x"), attempt) for attempt in range(8)]

    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_dropped_connection_is_mended_at_once_only_once_and_only_where_that_is_safe() -> None:
    assert delay(Dropped("x")) == 0
    assert delay(Dropped("x"), 1) == 2
    assert delay(Dropped("x"), 0, RetryMode.NOT_IDEMPOTENT) == 1


def test_a_certificate_that_is_not_trusted_is_tried_once_a_minute() -> None:
    assert delay(Untrusted("x"), 0) == delay(Untrusted("x"), 9) == 60


def test_what_must_not_happen_twice_is_repeated_only_while_it_was_not_seen() -> None:
    assert delay(NotSent("x"), 0, RetryMode.ONLY_IF_UNSENT) == 1
    assert delay(RateLimited("x", retry_after=5), 0, RetryMode.ONLY_IF_UNSENT) == 6
    for unclear in (Unreachable("x"), Dropped("x"), ServerError("x")):
        assert delay(unclear, 0, RetryMode.ONLY_IF_UNSENT) is None


def test_a_rate_limit_waits_as_asked() -> None:
    assert delay(RateLimited("x", retry_after=30.0), 3) == 31.0
