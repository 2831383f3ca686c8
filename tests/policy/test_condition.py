"""What stands in a scale set's way: failures in a row, gates and the state that people see."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import JITTERS, NOW, conditions, failure_records, waves

from runscaler.policy.condition import DEGRADED_AFTER, START_BACKOFF, Condition, FailureRecord, Hold
from runscaler.policy.scaling import Gate
from runscaler.status import SetState, Unmet

FAILED = FailureRecord(starts=DEGRADED_AFTER, counted_at=NOW, until=NOW + 16, reason="no space left")
WELL = Condition(session=True, listed=True)


# -- failures in a row ----------------------------------------------------------------------------


def test_fifty_starts_that_fail_together_are_one_failure() -> None:
    record = FailureRecord()
    for number in range(50):
        record = record.start_failed(NOW, NOW + 1 + number / 100, 0.0, "no space left")

    assert record.starts == 1
    assert record.until == NOW + 1 + START_BACKOFF.delay(1)


def test_fifty_starts_that_fail_in_the_very_moment_of_their_order_are_one_failure() -> None:
    record = FailureRecord()
    for _ in range(50):
        record = record.start_failed(NOW, NOW, 0.0, "no space left")

    assert record.starts == 1


@given(waves())
def test_each_wave_of_failing_starts_counts_once(history: list[tuple[float, list[float]]]) -> None:
    record = FailureRecord()
    for ordered_at, failed_at in history:
        for now in failed_at:
            record = record.start_failed(ordered_at, now, 0.0, "no space left")

    assert record.starts == len(history)


@given(waves())
def test_every_runner_that_ends_before_a_job_counts_but_a_wave_backs_off_once(
    history: list[tuple[float, list[float]]],
) -> None:
    record, backed_off = FailureRecord(), set()
    for ordered_at, ended_at in history:
        for now in ended_at:
            record = record.ended_early(ordered_at, now, 0.0, "exit code 7")
            backed_off.add(record.until)

    assert record.early_ends == sum(len(ended_at) for _, ended_at in history)
    assert len(backed_off) == len(history)


@given(failure_records(), st.integers(1, 100), JITTERS)
def test_a_failure_backs_off_by_its_place_in_the_row(
    record: FailureRecord, later: int, jitter: float
) -> None:
    now = NOW + later
    after = record.start_failed(now, now, jitter, "no space left")

    assert after.until == now + START_BACKOFF.delay(after.in_a_row, jitter)
    assert after.in_a_row >= record.in_a_row


def test_the_latest_reason_is_shown_even_of_a_failure_that_does_not_count() -> None:
    record = (
        FailureRecord().start_failed(NOW, NOW + 1, 0.0, "first").start_failed(NOW, NOW + 2, 0.0, "second")
    )

    assert (record.starts, record.reason) == (1, "second")


def test_a_start_that_succeeds_ends_a_row_of_failed_starts() -> None:
    record = FailureRecord().start_failed(NOW, NOW, 0.0, "no space left").start_succeeded()

    assert (record.in_a_row, record.until) == (0, 0.0)


def test_a_start_that_fails_after_one_succeeded_waits_whenever_it_was_ordered() -> None:
    record = FailureRecord().start_failed(NOW, NOW + 1, 0.0, "no space left").start_succeeded()
    again = record.start_failed(NOW, NOW + 2, 0.0, "no scale set")

    assert (again.starts, again.until) == (1, NOW + 3)


@pytest.mark.parametrize(("early_ends", "waits"), [(4, False), (5, True)])
def test_each_try_of_a_set_whose_runners_end_early_waits_as_a_failure_would(
    early_ends: int, waits: bool
) -> None:
    record = replace(FailureRecord(), early_ends=early_ends, until=NOW)
    tried = record.start_ordered(NOW, 1.0)

    assert (tried.until > NOW) is waits
    assert replace(tried, until=NOW) == record


def test_a_start_that_succeeds_says_nothing_about_runners_that_end_early() -> None:
    record = FailureRecord().ended_early(NOW, NOW, 0.0, "exit code 7")

    assert record.start_succeeded() == record


@given(failure_records())
def test_a_job_that_ran_forgives_everything(record: FailureRecord) -> None:
    assert record.job_ran() == FailureRecord()


# -- gates ----------------------------------------------------------------------------------------


def test_nothing_is_in_the_way_of_a_set_that_is_well() -> None:
    assert WELL.gates() == ()
    assert WELL.may_plan


def test_a_set_serves_while_it_holds_a_session_and_github_answers() -> None:
    away, failed = Hold("no route"), "its listener crashes again and again"

    assert WELL.is_serving
    assert not replace(WELL, session=False).is_serving
    assert not replace(WELL, github=away).is_serving
    assert not replace(WELL, listener_failed=failed).is_serving


@pytest.mark.parametrize(
    ("condition", "gates"),
    [
        (replace(WELL, backend=Hold("engine away")), [Gate(Unmet.BACKEND_DOWN, "engine away")]),
        (
            replace(WELL, backend=Hold("engine away"), listed=False),
            [Gate(Unmet.BACKEND_DOWN, "engine away")],
        ),
        (
            replace(WELL, listed=False),
            [Gate(Unmet.PAUSED, "waiting for the list of what runs already")],
        ),
        (replace(WELL, image=Hold("pulling")), [Gate(Unmet.PAUSED, "pulling")]),
        (
            replace(WELL, github=Hold("wait", NOW + 9), rate_limited=True),
            [Gate(Unmet.RATE_LIMIT, "wait", NOW + 9)],
        ),
        (replace(WELL, github=Hold("GitHub answers 503", NOW + 9)), []),
        (
            replace(WELL, failures=replace(FAILED, starts=1)),
            [Gate(Unmet.BACKOFF, "no space left", NOW + 16)],
        ),
        (
            replace(WELL, failures=FAILED),
            [
                Gate(Unmet.BACKOFF, "no space left", NOW + 16),
                Gate(Unmet.BACKOFF, "no space left", allowed=1),
            ],
        ),
    ],
)
def test_each_trouble_closes_its_gate(condition: Condition, gates: list[Gate]) -> None:
    assert list(condition.gates()) == gates


@given(conditions())
def test_nothing_starts_before_what_runs_already_is_known(condition: Condition) -> None:
    unlisted = replace(condition, listed=False)

    assert any(gate.until is None and not gate.allowed for gate in unlisted.gates())


@given(conditions())
def test_every_closed_gate_says_why(condition: Condition) -> None:
    assert all(gate.detail for gate in condition.gates())


@given(conditions())
def test_plans_are_made_by_whoever_holds_the_session(condition: Condition) -> None:
    assert condition.may_plan == (condition.session and condition.standby is None)


# -- the state that people see --------------------------------------------------------------------

SESSIONLESS = replace(WELL, session=False)


@pytest.mark.parametrize(
    ("condition", "state", "reason"),
    [
        (Condition(), SetState.STARTING, "connecting"),
        (SESSIONLESS, SetState.STARTING, "connecting"),
        (replace(WELL, listed=False), SetState.STARTING, "connecting"),
        (WELL, SetState.OK, ""),
        (replace(WELL, image=Hold("pulling")), SetState.OK, "pulling"),
        (replace(WELL, image=Hold("no such image"), image_failed=True), SetState.DEGRADED, "no such image"),
        (replace(WELL, standby=Hold("another host")), SetState.STANDBY, "another host"),
        (replace(WELL, github=Hold("GitHub answers 503")), SetState.DEGRADED, "GitHub answers 503"),
        (replace(SESSIONLESS, github=Hold("token expired")), SetState.DEGRADED, "token expired"),
        (replace(WELL, backend=Hold("engine away")), SetState.DEGRADED, "engine away"),
        (replace(WELL, failures=FAILED), SetState.DEGRADED, "no space left"),
        (replace(WELL, failures=replace(FAILED, starts=4)), SetState.OK, ""),
        (
            replace(WELL, failures=replace(FAILED, starts=0, early_ends=5)),
            SetState.DEGRADED,
            "no space left",
        ),
        (replace(WELL, listener_failed="six crashes"), SetState.FAILED, "six crashes"),
        (replace(WELL, draining="no new jobs"), SetState.DRAINING, "no new jobs"),
        (
            replace(WELL, draining="no new jobs", backend=Hold("the engine is away")),
            SetState.DRAINING,
            "no new jobs; the engine is away",
        ),
    ],
)
def test_each_condition_has_its_state_and_reason(condition: Condition, state: SetState, reason: str) -> None:
    assert condition.state() == (state, reason)


@given(conditions())
def test_a_draining_set_is_shown_as_draining_whatever_else_is_wrong(condition: Condition) -> None:
    assert replace(condition, draining="no new jobs").state()[0] is SetState.DRAINING


@given(conditions())
def test_every_state_but_ok_has_a_reason(condition: Condition) -> None:
    state, reason = condition.state()

    assert reason or state is SetState.OK


@given(conditions())
def test_a_set_that_is_well_plans_and_starts_runners_unless_it_says_what_it_waits_for(
    condition: Condition,
) -> None:
    well = replace(WELL, image=condition.image, rate_limited=condition.rate_limited)
    state, reason = well.state()

    assert state is SetState.OK
    assert well.may_plan
    assert bool(well.gates()) == bool(reason)


# -- the next try ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "at"),
    [
        (WELL, None),
        (replace(WELL, github=Hold("away", NOW + 8)), NOW + 8),
        (replace(WELL, backend=Hold("no engine"), github=Hold("away", NOW + 8)), None),
        (replace(WELL, standby=Hold("another listener", NOW + 30)), NOW + 30),
        (replace(WELL, failures=FAILED), FAILED.until),
        (replace(WELL, failures=replace(FAILED, starts=1)), None),
        (replace(WELL, github=Hold("away", NOW + 8), draining="no new jobs"), None),
        (replace(WELL, github=Hold("away", NOW + 8), listener_failed="gave up"), None),
    ],
)
def test_the_next_try_is_that_of_the_reason_that_is_shown(condition: Condition, at: float | None) -> None:
    assert condition.retry_at == at
