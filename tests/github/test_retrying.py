from __future__ import annotations

import pytest

from runscaler.errors import GitHubError, Interrupted, RateLimited, Refused, ServerError, Unreachable
from runscaler.github.base import Trouble
from runscaler.github.retry_policy import RetryMode
from runscaler.github.retrying import RetryingCaller, RetryReporter
from runscaler.interrupt import Interrupt
from runscaler.testing.clock import FakeClock


class Failing:
    """Raises these errors one after the other, then returns "done"; keeps what it was allowed."""

    def __init__(self, *errors: GitHubError) -> None:
        self.errors = list(errors)
        self.allowed: list[float] = []

    def __call__(self, seconds: float) -> str:
        self.allowed.append(seconds)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class Rig:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reports: list[Trouble | None] = []
        self.reporter = RetryReporter(self.reports.append)
        self.retrying = RetryingCaller(self.clock, self.reporter)

    def call_with_retries(self, attempt: Failing, seconds: float | None = None) -> str:
        return self.retrying.call_with_retries(attempt, Interrupt(), seconds, RetryMode.NOT_IDEMPOTENT)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_what_succeeds_at_once_says_nothing(rig: Rig) -> None:
    assert rig.call_with_retries(Failing()) == "done"
    assert rig.reports == []


def test_the_first_failure_and_the_recovery_are_reported(rig: Rig) -> None:
    rig.call_with_retries(
        Failing(ServerError("500", status=500, fixes=("wait",)), ServerError("500 again", status=500))
    )

    assert rig.reports == [Trouble("500", 1000.5, ("wait",), kind="ServerError"), None]


def test_another_reason_is_reported_again(rig: Rig) -> None:
    rig.call_with_retries(
        Failing(Unreachable("no route"), RateLimited("slow down", retry_after=10.0), Unreachable("no"))
    )

    reasons = [report and (report.reason, report.rate_limited) for report in rig.reports]
    assert reasons == [("no route", False), ("slow down", True), ("no", False), None]


def test_trouble_lasts_until_the_last_call_that_has_it_is_over(rig: Rig) -> None:
    with rig.reporter.call() as first:
        first(Unreachable("no route"), 5.0)
        with rig.reporter.call() as second:
            second(Unreachable("no route"), 6.0)
        with rig.reporter.call():
            pass
        assert len(rig.reports) == 1

    assert rig.reports == [Trouble("no route", 5.0), None]


def test_the_end_of_a_limit_leaves_the_trouble_that_lasts(rig: Rig) -> None:
    """The words of a limit that has ended must not stay while another call fails for another reason."""
    with rig.reporter.call() as other:
        other(Unreachable("no route"), 5.0)
        with rig.reporter.call() as limited:
            limited(RateLimited("rate limited", retry_after=10.0), 10.0)
        assert rig.reports[-1] == Trouble("no route", 5.0)

    reasons = [report and report.reason for report in rig.reports]
    assert reasons == ["no route", "rate limited", "no route", None]


def test_a_final_error_is_raised_and_not_reported(rig: Rig) -> None:
    with pytest.raises(Refused):
        rig.call_with_retries(Failing(Refused("no")))

    assert rig.reports == []


def test_no_try_is_made_that_would_come_too_late(rig: Rig) -> None:
    errors = [ServerError(f"try {number}") for number in range(20)]

    with pytest.raises(ServerError, match="try 3"):
        rig.call_with_retries(Failing(*errors), 5.0)

    assert rig.clock.pauses == [0.5, 1.0, 2.0]
    assert rig.reports[-1] is None


def test_a_wait_that_would_last_too_long_is_raised_at_once(rig: Rig) -> None:
    with pytest.raises(RateLimited):
        rig.call_with_retries(Failing(RateLimited("slow down", retry_after=60.0)), 30.0)

    assert rig.clock.pauses == []


def test_without_a_limit_retries_go_on(rig: Rig) -> None:
    errors = [ServerError("500") for _ in range(200)]

    assert rig.call_with_retries(Failing(*errors)) == "done"


def test_each_try_is_told_how_long_it_may_take(rig: Rig) -> None:
    attempt = Failing(ServerError("a"), ServerError("b"), ServerError("c"))

    rig.call_with_retries(attempt, 10.0)

    assert attempt.allowed == [10.0, 9.5, 8.5, 6.5]


def test_the_last_try_gets_five_seconds_however_little_is_left(rig: Rig) -> None:
    attempt = Failing(ServerError("a"), ServerError("b"))

    rig.call_with_retries(attempt, 2.0)

    assert attempt.allowed == [5.0, 5.0, 5.0]


def test_an_interrupt_ends_the_wait_between_two_tries(rig: Rig) -> None:
    interrupt = Interrupt()

    def fail(_seconds: float) -> str:
        interrupt.set()
        raise ServerError("500")

    with pytest.raises(Interrupted):
        rig.retrying.call_with_retries(fail, interrupt, None, RetryMode.IDEMPOTENT)

    assert rig.reports[-1] is None
