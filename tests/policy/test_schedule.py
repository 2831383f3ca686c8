"""The windows of a schedule, against a reading of cron minute by minute (docs/behaviour.md § 4.2)."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runscaler.config.model import ScaleSetSettings, ScheduleWindow
from runscaler.config.secrets import Secret
from runscaler.policy.schedule import Limits, largest_max, last_time, next_time, timetable

HOUR, DAY = 3600.0, 86400.0
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Havana",
]
"""Lord Howe changes by half an hour, Havana at midnight."""
CHANGES = {
    "Europe/Berlin": ["2026-03-29T01:00", "2026-10-25T01:00"],
    "America/New_York": ["2026-03-08T07:00", "2026-11-01T06:00"],
    "Australia/Lord_Howe": ["2026-10-03T15:30", "2026-04-04T15:00"],
    "America/Havana": ["2026-03-08T05:00", "2026-11-01T05:00"],
    "UTC": ["2026-01-01T00:00"],
    "Asia/Kathmandu": ["2026-01-01T00:00"],
}


def settings(*schedule: ScheduleWindow, min_runners: int = 1, max_runners: int = 10) -> ScaleSetSettings:
    return ScaleSetSettings(
        url="https://github.com/my-org",
        name="linux",
        token=Secret("ghp_s3cr3t"),
        min_runners=min_runners,
        max_runners=max_runners,
        schedule=schedule,
    )


def window(cron: str, duration: float = HOUR, timezone: str = "UTC", **limits: int) -> ScheduleWindow:
    return ScheduleWindow(cron=cron, duration=duration, timezone=timezone, **limits)


def at(time: str, timezone: str = "UTC", *, second: bool = False) -> float:
    """Wall-clock seconds; `second`: of a time that comes twice, the second."""
    return datetime.fromisoformat(time).replace(tzinfo=ZoneInfo(timezone), fold=second).timestamp()


# -- cron, minute by minute ---------------------------------------------------------------------------

FIELDS = st.tuples(
    st.sampled_from(["0", "30", "15,45", "59", "*", "*/20"]),
    st.sampled_from(["0", "1", "2", "3", "2-3", "8", "23", "*", "*/2", "0-23"]),
    st.sampled_from(["*", "*", "*", "1", "25", "*/3"]),
    st.sampled_from(["*", "*", "*", "3,10", "11"]),
    st.sampled_from(["*", "*", "*", "0", "7", "1-5", "SUN,MON"]),
)
NAMES = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def numbers(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        ends = [NAMES.index(one) if one in NAMES else int(one) for one in span.split("-") if span != "*"]
        first, last = (low, high) if span == "*" else (ends[0], ends[-1])
        found |= set(range(first, last + 1, int(step or 1)))
    return found


@cache
def opens_on(cron: str, local: datetime) -> bool:
    """Does the expression match this time on the clock?"""
    minute, hour, day, month, weekday = cron.split()
    weekdays = {one % 7 for one in numbers(weekday, 0, 7)}
    in_month, in_week = local.day in numbers(day, 1, 31), local.isoweekday() % 7 in weekdays
    of_day = in_month and in_week if "*" in (day[0], weekday[0]) else in_month or in_week
    return (
        local.minute in numbers(minute, 0, 59)
        and local.hour in numbers(hour, 0, 23)
        and local.month in numbers(month, 1, 12)
        and of_day
    )


def openings(cron: str, timezone: str, first: float, last: float) -> list[float]:
    """Every time from `first` to `last` that a window opens, looked for at each minute."""
    zone, fixed = ZoneInfo(timezone), "*" not in (cron.split()[0][0], cron.split()[1][0])
    found: set[float] = set()
    before: datetime | None = None
    for seconds in range(int(first) // 60 * 60 - 7200, int(last) + 60, 60):
        moment = datetime.fromtimestamp(seconds, zone)
        local = moment.replace(tzinfo=None, fold=0)
        if opens_on(cron, local) and not (fixed and moment.fold):
            found.add(seconds)
        if fixed and before is not None and local > before + timedelta(minutes=1):
            left_out = int((local - before).total_seconds() // 60)
            if any(opens_on(cron, before + timedelta(minutes=one)) for one in range(1, left_out)):
                found.add(seconds)
        before = local
    return sorted(one for one in found if first <= one <= last)


@given(FIELDS.map(" ".join), st.sampled_from(ZONES), st.integers(0, 1), st.integers(-180, 180))
def test_a_window_opens_when_the_clock_on_the_wall_says_so_also_where_clocks_change(
    cron: str, timezone: str, which: int, minutes: int
) -> None:
    change = CHANGES[timezone][which % len(CHANGES[timezone])]
    now = at(change) + minutes * 60 + 30
    expected = openings(cron, timezone, now - 6 * HOUR, now + 6 * HOUR)
    following = next_time(window(cron, timezone=timezone), now)
    last = last_time(window(cron, timezone=timezone), now)

    if (after := [one for one in expected if one > now]) or (following or 0) <= now + 6 * HOUR:
        assert following == (after[0] if after else None)
    if (before := [one for one in expected if one <= now]) or (last or 0) >= now - 6 * HOUR:
        assert last == (before[-1] if before else None)


@given(FIELDS.map(" ".join), st.sampled_from(ZONES), st.integers(at("2026-01-01"), at("2027-01-01")))
def test_the_last_and_the_next_time_enclose_now_and_nothing_is_between_them(
    cron: str, timezone: str, now: int
) -> None:
    one = window(cron, timezone=timezone)
    last, following = last_time(one, now), next_time(one, now)
    assume(last is not None and following is not None)
    assert last is not None
    assert following is not None

    assert last <= now < following
    assert next_time(one, last) == following
    assert last_time(one, following) == following
    assert last_time(one, following - 1) == last


def test_a_time_that_does_not_exist_is_taken_at_the_first_minute_that_does() -> None:
    night = window("30 2 * * *", timezone="Europe/Berlin")

    assert next_time(night, at("2026-03-28T12:00")) == at("2026-03-29T03:00", "Europe/Berlin")


def test_a_time_that_comes_twice_is_taken_once() -> None:
    night = window("30 2 * * *", timezone="Europe/Berlin")
    first = at("2026-10-25T02:30", "Europe/Berlin")
    in_second_hour = at("2026-10-25T02:10", "Europe/Berlin", second=True)

    assert next_time(night, at("2026-10-24T12:00")) == first
    assert next_time(night, first) == next_time(night, in_second_hour) == first + 25 * HOUR
    assert last_time(night, in_second_hour) == first


def test_a_window_that_is_open_while_the_clocks_change_has_its_full_duration() -> None:
    night = window("0 20 * * *", 12 * HOUR, "Europe/Berlin", max_runners=3)
    now = at("2026-03-29T05:00", "Europe/Berlin")

    open_now = timetable(settings(night), now).window

    assert open_now is not None
    assert (open_now.opens_at, open_now.closes_at) == (
        at("2026-03-28T20:00", "Europe/Berlin"),
        at("2026-03-29T09:00", "Europe/Berlin"),
    )


def test_a_date_that_never_comes_opens_no_window() -> None:
    never = window("0 0 */16 * MON#5")

    assert (next_time(never, 0.0), last_time(never, at("2026-01-01"))) == (None, None)
    assert timetable(settings(never), at("2026-01-01")).until is None


# -- what is in force -----------------------------------------------------------------------------------

DAYTIME = window("0 8 * * MON-FRI", 10 * HOUR, min_runners=5, max_runners=20)
NOON = window("0 12 * * *", HOUR, max_runners=3)


@pytest.mark.parametrize(
    ("time", "limits", "entry", "until"),
    [
        ("2026-06-01T07:59:59", Limits(1, 10), None, "2026-06-01T08:00"),
        ("2026-06-01T08:00", Limits(5, 20), 1, "2026-06-01T12:00"),
        ("2026-06-01T12:00", Limits(1, 3), 2, "2026-06-01T13:00"),
        ("2026-06-01T13:00", Limits(5, 20), 1, "2026-06-01T18:00"),
        ("2026-06-01T18:00", Limits(1, 10), None, "2026-06-02T08:00"),
        ("2026-06-06T12:59", Limits(1, 3), 2, "2026-06-06T13:00"),  # a Saturday
    ],
)
def test_the_window_that_opened_last_is_in_force(
    time: str, limits: Limits, entry: int | None, until: str
) -> None:
    found = timetable(settings(DAYTIME, NOON), at(time))

    assert found.limits == limits
    assert (found.window and found.window.entry) == entry
    assert found.until == at(until)


def test_of_windows_that_open_together_the_last_in_the_list_is_in_force() -> None:
    first, second = window("0 8 * * *", max_runners=2), window("0 8 * * *", max_runners=4)

    found = timetable(settings(first, second), at("2026-06-01T08:30"))
    before = timetable(settings(first, second), at("2026-06-01T07:30"))

    assert found.limits.max_runners == 4
    assert before.next is not None
    assert before.next.entry == 2


def test_a_window_that_opens_again_before_it_closes_is_always_open() -> None:
    always = settings(window("0 * * * *", 90 * 60.0, max_runners=2))

    for minute in range(0, 180, 7):
        assert timetable(always, at("2026-06-01T08:00") + minute * 60).limits == Limits(1, 2)


def test_without_a_schedule_the_scale_sets_own_limits_hold_for_ever() -> None:
    found = timetable(settings(), at("2026-06-01"))

    assert (found.limits, found.window, found.next, found.until) == (Limits(1, 10), None, None, None)
    assert found.holds_at(at("2126-06-01"))


WINDOWS = st.builds(
    window,
    FIELDS.map(" ".join),
    st.sampled_from([60.0, HOUR, 9 * HOUR, 3 * DAY]),
    st.sampled_from(ZONES),
    max_runners=st.integers(1, 30),
)


@given(st.lists(WINDOWS, max_size=3), st.integers(at("2026-01-01"), at("2027-01-01")), st.data())
def test_nothing_changes_before_the_time_at_which_it_may(
    windows: list[ScheduleWindow], now: int, data: st.DataObject
) -> None:
    scheduled = settings(*windows)
    found = timetable(scheduled, now)
    until = found.until if found.until is not None else now + 366 * DAY
    assert until > now

    later = data.draw(st.floats(now, until, exclude_max=True))

    assert found.holds_at(later)
    again = timetable(scheduled, later)
    assert (again.limits, again.window, again.next) == (found.limits, found.window, found.next)


@given(st.lists(WINDOWS, max_size=3), st.integers(at("2026-01-01"), at("2027-01-01")))
def test_no_window_raises_the_limit_above_the_largest_one(windows: list[ScheduleWindow], now: int) -> None:
    scheduled = settings(*windows)

    assert timetable(scheduled, now).limits.max_runners <= largest_max(scheduled)


def test_a_clock_that_is_set_back_or_past_the_change_makes_it_void() -> None:
    now = at("2026-06-01T08:30")
    found = timetable(settings(DAYTIME), now)

    assert [found.holds_at(one) for one in (now - 1, now, at("2026-06-01T18:00"))] == [False, True, False]


def test_the_largest_maximum_counts_windows_and_the_scale_sets_own() -> None:
    assert largest_max(settings(DAYTIME, NOON)) == 20
    assert largest_max(settings(NOON, window("0 1 * * *", min_runners=2))) == 10
