"""How long a reply asks us to wait (docs/protocol.md § 7; faults F14 to F17)."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.github.rate_limits import is_primary, requested_pause

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


@given(st.sampled_from([200, 403, 429, 503]), st.text(), st.text(), st.text(), st.integers(0, 5000))
def test_any_headers_give_a_bounded_wait(
    status: int, retry_after: str, remaining: str, reset: str, in_a_row: int
) -> None:
    headers = {"Retry-After": retry_after, "X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset}

    wait = requested_pause(status, headers, "secondary rate limit", now=NOW, in_a_row=in_a_row)

    assert wait is None or 1 <= wait <= 900
