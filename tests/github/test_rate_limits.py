"""How long a reply asks us to wait (docs/protocol.md § 7; faults F14 to F17)."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.config.secrets import Secret
from runscaler.errors import RateLimited
from runscaler.github.rate_limits import RateLimits, is_primary, requested_pause
from runscaler.github.wire import Request, bearer
from runscaler.testing.clock import FakeClock

NOW = 1_800_000_000.0


def asked(status: int, text: str = "", in_a_row: int = 0, **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requested_pause(status, named, text, now=NOW, in_a_row=in_a_row)


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


def test_a_used_up_budget_counts_behind_a_retry_after_that_cannot_be_read() -> None:
    soon = str(int(NOW) + 60)

    assert asked(429, Retry_After="soon", X_RateLimit_Remaining="0", X_RateLimit_Reset=soon) == 61


@pytest.mark.parametrize("reset", [None, "", "-5", "soon", "0", str(int(NOW) - 3600)])
def test_a_used_up_budget_without_a_reset_that_can_be_used_is_a_minute_and_doubles(reset: str | None) -> None:
    headers = {"X_RateLimit_Remaining": "0"} | ({} if reset is None else {"X_RateLimit_Reset": reset})

    assert [asked(403, "", before, **headers) for before in range(3)] == [60, 120, 240]


def test_a_reset_that_is_a_moment_past_is_no_reason_to_wait_for_long() -> None:
    assert asked(403, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(NOW) - 2)) == 1


def test_a_limit_is_known_by_its_text_alone() -> None:
    assert asked(403, "API rate limit exceeded for installation ID 7.") == 60


def test_a_secondary_limit_without_a_time_is_a_minute_and_doubles() -> None:
    text = "You have exceeded a secondary rate limit. Please wait a few minutes."

    assert [asked(403, text, before) for before in range(6)] == [60, 120, 240, 480, 900, 900]
    assert asked(429, text) == 60
    assert asked(403, text, Retry_After="5") == 5


def test_a_plain_denial_is_no_rate_limit() -> None:
    assert asked(403, "Resource not accessible by personal access token") is None
    assert asked(401, Retry_After="5") is None


def test_only_a_budget_that_is_used_up_is_a_primary_limit() -> None:
    assert is_primary({"X-RateLimit-Remaining": "0"})
    assert not is_primary({"X-RateLimit-Remaining": "0", "Retry-After": "5"})
    assert not is_primary({})


def test_503_is_no_secondary_limit_whatever_it_says() -> None:
    assert asked(503, "You have exceeded a secondary rate limit.") is None


def request(*, rest: bool = False) -> Request:
    return Request("try", "GET", "http://github.test/", bearer(Secret("t")), {}, rest=rest)


def left(limits: RateLimits, request: Request) -> float:
    try:
        limits.check(request)
    except RateLimited as error:
        return error.retry_after
    return 0.0


def test_the_longer_of_two_pauses_counts() -> None:
    limits = RateLimits(FakeClock())

    limits.limited(request(), 60.0, primary=False)
    limits.limited(request(), 5.0, primary=False)

    assert left(limits, request()) == 60.0


def test_a_spent_rest_budget_limits_rest_calls_only() -> None:
    limits = RateLimits(FakeClock())

    limits.limited(request(rest=True), 60.0, primary=True)

    assert (left(limits, request(rest=True)), left(limits, request())) == (60.0, 0.0)


def test_what_a_call_of_another_service_calls_a_primary_limit_limits_the_host() -> None:
    limits = RateLimits(FakeClock())

    limits.limited(request(), 60.0, primary=True)

    assert (left(limits, request(rest=True)), left(limits, request())) == (60.0, 60.0)


@given(st.sampled_from([200, 403, 429, 503]), st.text(), st.text(), st.text(), st.integers(0, 5000))
def test_any_headers_give_a_bounded_wait(
    status: int, retry_after: str, remaining: str, reset: str, in_a_row: int
) -> None:
    headers = {"Retry-After": retry_after, "X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset}

    wait = requested_pause(status, headers, "secondary rate limit", now=NOW, in_a_row=in_a_row)

    assert wait is None or 1 <= wait <= 900
