from __future__ import annotations

import threading

import pytest

from runscaler.clock import SystemClock
from runscaler.config.model import ScaleSetSettings, ScheduleWindow
from runscaler.errors import HostError
from runscaler.findings import Finding, Level
from runscaler.ops.validate import check_all, is_ok, schedule_findings

OK = Finding(Level.OK, "fine")


def sets(*names: str) -> list[ScaleSetSettings]:
    return [ScaleSetSettings(url="https://github.com/my-org", name=name) for name in names]


def lines(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(one.level.value, one.scale_set, one.message) for one in findings]


def test_every_check_runs_for_each_scale_set_and_findings_are_in_order():
    asks = [
        ("backend", lambda settings, interrupt: [Finding(Level.OK, f"backend of {settings.name}")]),
        ("GitHub", lambda settings, interrupt: [Finding(Level.WARNING, "slow")]),
    ]

    found = check_all(sets("a", "b"), asks, SystemClock())

    assert lines(found) == [
        ("ok", "a", "backend of a"),
        ("warning", "a", "slow"),
        ("ok", "b", "backend of b"),
        ("warning", "b", "slow"),
    ]


def test_all_checks_run_at_the_same_time():
    together = threading.Barrier(4)

    def ask(settings, interrupt):
        together.wait(20)
        return [OK]

    found = check_all(sets("a", "b"), [("backend", ask), ("GitHub", ask)], SystemClock())

    assert is_ok(found)


def test_an_error_becomes_a_finding_with_its_fixes():
    def ask(settings, interrupt):
        raise HostError("no engine", fixes=("start it",))

    (found,) = check_all(sets("a"), [("backend", ask)], SystemClock())

    assert found == Finding(Level.ERROR, "no engine", ("start it",), "a")


def test_a_check_that_hangs_is_reported_and_cut_and_delays_no_other():
    cut = threading.Event()

    def hangs(settings, interrupt):
        with interrupt.cancelling(cut.set):
            cut.wait(20)
        return []

    asks = [("GitHub", hangs), ("backend", lambda settings, interrupt: [OK])]

    found = check_all(sets("a"), asks, SystemClock(), timeout=0.1)

    assert lines(found) == [("error", "a", "GitHub did not answer within 100ms"), ("ok", "a", "fine")]
    assert cut.wait(20)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_check_that_crashes_is_a_finding_too():
    def ask(settings, interrupt):
        raise KeyError("bug")

    (found,) = check_all(sets("a"), [("backend", ask)], SystemClock())

    assert found.level is Level.ERROR
    assert "bug" in found.message


def test_warnings_alone_are_ok():
    assert is_ok([OK, Finding(Level.WARNING, "old")])
    assert not is_ok([OK, Finding(Level.ERROR, "bad")])


def test_each_window_is_shown_as_it_is_open_now_or_next():
    now = 1_800_000_000.0  # Friday 2027-01-15, 08:00 UTC
    schedule = (
        ScheduleWindow(cron="0 8 * * *", duration=36000, timezone="Europe/Berlin", min_runners=5),
        ScheduleWindow(cron="0 22 * * FRI", duration=30 * 3600, max_runners=3),
        ScheduleWindow(cron="0 0 */16 * MON#5", duration=60, max_runners=3),
    )
    (settings,) = sets("linux")

    assert lines(schedule_findings(settings.model_copy(update={"schedule": schedule}), now)) == [
        (
            "ok",
            "linux",
            "schedule, entry 1: 5 to 10 runners now, Fri 2027-01-15 08:00 to 18:00 Europe/Berlin",
        ),
        (
            "ok",
            "linux",
            "schedule, entry 2: 0 to 3 runners Fri 2027-01-15 22:00 to Sun 2027-01-17 04:00 UTC",
        ),
        ("warning", "linux", "schedule, entry 3: no such day ever comes"),
    ]
