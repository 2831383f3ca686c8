"""The page of `status --watch`, which must fit the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from runscaler.cli.status_page import fitted_page

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = dict[str, object]


def scale_set(name: str, state: str = "ok", *, busy: int = 0, reason: str = "", unmet: int = 0) -> Json:
    counts = dict.fromkeys(("idle", "starting", "total", "max"), 0)
    waits = [{"reason": "host_cap", "count": unmet, "detail": "the host is full"}] if unmet else []
    return {
        **counts,
        "name": name,
        "state": state,
        "busy": busy,
        "reason": reason,
        "unmet": waits,
        "metrics": {"assigned_jobs": 0, "jobs_completed": 0},
    }


def shown(sets: Sequence[Json], width: int = 80, height: int = 23) -> list[str]:
    screen = Console(width=width, height=100, color_system=None, highlight=False)
    answer = {"version": "1", "uptime": "1s", "scale_sets": list(sets)}
    with screen.capture() as capture:
        screen.print(fitted_page(answer, width, height))
    return capture.get().splitlines()


def test_what_fits_is_shown_in_the_order_of_the_configuration() -> None:
    lines = shown([scale_set("a"), scale_set("b", "degraded", reason="engine away"), scale_set("c", busy=1)])

    assert [line.split()[0] for line in lines] == ["runner", "SCALE", "a", "b", "c", "⚠"]


def test_of_thirty_scale_sets_the_troubled_and_busy_come_first_and_the_rest_is_counted() -> None:
    sets = [scale_set(f"set-{number}") for number in range(30)]
    sets[27] = scale_set("set-27", busy=2)
    sets[28] = scale_set("set-28", "draining")
    sets[29] = scale_set("set-29", "degraded", reason="the engine does not answer")

    lines = shown(sets)

    assert len(lines) == 23
    assert [line.split()[0] for line in lines[2:6]] == ["set-29", "set-28", "set-27", "set-0"]
    assert lines[-2] == "⚠ [set-29] the engine does not answer"
    assert lines[-1] == "… 11 more scale sets (11 ok): runner status shows all"


def test_where_all_are_in_trouble_what_does_not_fit_is_counted_too() -> None:
    lines = shown([scale_set(f"set-{number}", "failed", reason="no token") for number in range(30)])

    notes = [line for line in lines if line.startswith("⚠")]
    assert len(lines) == 23
    assert notes == [f"⚠ [set-{number}] no token" for number in range(10)]
    assert lines[-1] == ("… 20 more scale sets (20 failed) and 20 more lines about trouble: runner status…")


def test_a_long_reason_takes_three_rows_at_most() -> None:
    lines = shown([scale_set("linux", "degraded", reason="word " * 100)])

    assert len(lines) == 6
    assert lines[-1].endswith("…")


def test_a_narrow_terminal_loses_columns_not_the_state() -> None:
    lines = shown([scale_set("a-long-name-of-a-set", "degraded", busy=3)], width=40)

    assert lines[1].split()[-1] == "STATE"
    assert "BUSY" in lines[1]
    assert "degraded" in lines[2]
    assert "3" in lines[2].split()


SETS = st.lists(
    st.builds(
        scale_set,
        st.text(max_size=60),
        st.sampled_from(["ok", "degraded", "draining", "standby"]),
        busy=st.integers(0, 10_000),
        reason=st.text(max_size=300),
        unmet=st.integers(0, 3),
    ),
    max_size=40,
)


@given(sets=SETS, width=st.integers(40, 200), height=st.integers(8, 60))
def test_no_page_is_larger_than_the_terminal(sets: list[Json], width: int, height: int) -> None:
    lines = shown(sets, width, height)

    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)


def test_the_window_in_force_and_the_next_one_stand_below_the_table() -> None:
    window = {"min": 5, "max": 20, "closes": "2026-11-30T18:00:00+01:00", "timezone": "Europe/Berlin"}
    following = {"min": 0, "max": 3, "opens": "2026-12-05T00:00:00+00:00", "timezone": "UTC"}
    one = scale_set("linux") | {"schedule": {"window": window, "next": following}}

    assert shown([one])[3:] == [
        "· [linux] schedule: min 5, max 20 until Mon 2026-11-30 18:00 Europe/Berlin",
        "· [linux] schedule: min 0, max 3 from Sat 2026-12-05 00:00 UTC",
    ]


def test_a_schedule_that_cannot_be_read_is_left_out() -> None:
    for schedule in ({}, [], {"window": None, "next": {"opens": 3}}, {"window": {"closes": "soon"}}):
        assert shown([scale_set("linux") | {"schedule": schedule}])[3:] == []


def test_what_this_host_is_short_of_and_the_next_look_stand_below_the_table() -> None:
    detail = "free disk 4 GiB is below min-free-disk 10 GiB"
    unmet = [{"reason": "host_guard", "count": 3, "detail": detail, "look_seconds": 4.2}]

    lines = shown([scale_set("linux") | {"unmet": unmet}])[3:]

    assert (
        " ".join(" ".join(lines).split())
        == f"⚠ [linux] 3 not started, host_guard: {detail}; next look in 4 s"
    )
