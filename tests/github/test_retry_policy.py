"""When a call is made again, and after how long (docs/protocol.md § 7; faults F14 to F17)."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from runscaler.github.retry_policy import RetryMode, asked_to_wait, delay_before_retry, is_primary

NOW = 1_800_000_000.0


def longest(seconds: float) -> float:
    return seconds


def delay(error: GitHubError, attempt: int = 0, retry: RetryMode = RetryMode.IDEMPOTENT) -> float | None:
    return delay_before_retry(error, attempt, retry, longest)


def asked(status: int, text: str = "", repeats: int = 0, **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asked_to_wait(status, named, text, now=NOW, repeats=repeats)


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


@pytest.mark.parametrize("status", [403, 429, 503])
def test_retry_after_is_seconds_or_a_date(status: int) -> None:
    assert asked(status, Retry_After="17") == 17
    assert asked(status, Retry_After=formatdate(NOW + 90, usegmt=True)) == 90


@pytest.mark.parametrize("value", ["86400", "9" * 400, formatdate(NOW + 86400, usegmt=True)])
def test_no_wait_is_longer_than_fifteen_minutes(value: str) -> None:
    assert asked(429, Retry_After=value) == 900


@pytest.mark.parametrize("value", ["-5", "soon", "", "1.5", "٣", formatdate(NOW - 90, usegmt=True)])
def test_a_negative_or_garbled_retry_after_is_ignored(value: str) -> None:
    for status in (403, 429, 503):
        assert asked(status, Retry_After=value) is None


def test_a_used_up_budget_waits_until_its_reset() -> None:
    headers = {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": str(int(NOW) + 600)}

    assert asked(403, **headers) == 601
    assert asked(200, **headers) is None
    assert asked(403, X_RateLimit_Remaining="4", X_RateLimit_Reset=str(int(NOW) + 600)) is None


def test_a_secondary_limit_without_a_time_is_a_minute_and_doubles() -> None:
    text = "You have exceeded a secondary rate limit. Please wait a few minutes."

    assert [asked(403, text, repeats) for repeats in range(6)] == [60, 120, 240, 480, 900, 900]
    assert asked(429, text) == 60
    assert asked(403, text, Retry_After="5") == 5


def test_a_plain_denial_is_no_rate_limit() -> None:
    assert asked(403, "Resource not accessible by personal access token") is None
    assert asked(401, Retry_After="5") is None


def test_only_a_budget_that_is_used_up_is_a_primary_limit() -> None:
    assert is_primary({"X-RateLimit-Remaining": "0"})
    assert not is_primary({"X-RateLimit-Remaining": "0", "Retry-After": "5"})
    assert not is_primary({})


@given(st.sampled_from([200, 403, 429, 503]), st.text(), st.text(), st.text(), st.integers(0, 5000))
def test_any_headers_give_a_bounded_wait(
    status: int, retry_after: str, remaining: str, reset: str, repeats: int
) -> None:
    headers = {"Retry-After": retry_after, "X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset}

    wait = asked_to_wait(status, headers, "secondary rate limit", now=NOW, repeats=repeats)

    assert wait is None or 1 <= wait <= 900
