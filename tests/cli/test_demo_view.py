from __future__ import annotations

import io

import pytest
from rich.console import Console

from runscaler.cli.demo_view import DemoSnapshot, _bar, _LiveTable, display, sentence
from runscaler.events import (
    JobCompleted,
    JobStarted,
    RunnerFailed,
    RunnerLost,
    RunnerRemoved,
    RunnerStarted,
    ScaleSetChanged,
)
from runscaler.status import ScaleSetStatus, SetState, SlotStatus, Status

RUNNER = {"at": 1.0, "scale_set": "demo", "slot": 2, "runner": "runner-0000000a"}
STARTED = RunnerStarted(**RUNNER, resource="c1", seconds=0.214)


def snapshot(events=(), slots=(), **more: object) -> DemoSnapshot:
    one = ScaleSetStatus("demo", "http://x/o", "default", "process", SetState.OK, slots=tuple(slots))
    values = {
        "seconds": 1.5,
        "total": 20,
        "queued": 12,
        "waiting": 6,
        "running": 4,
        "done": 2,
        "failed": 0,
        **more,
    }
    return DemoSnapshot(status=Status("1", 0.0, (one,)), events=tuple(events), **values)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (STARTED, "slot 2: runner-0000000a started in 0.21 s"),
        (JobStarted(**RUNNER, job_id="1", job="build 1"), "slot 2: runner-0000000a runs build 1"),
        (
            JobCompleted(**RUNNER, job_id="1", job="build 1", result="succeeded", seconds_run=None),
            "slot 2: build 1 succeeded",
        ),
        (
            RunnerLost(**RUNNER, job_id="1", job="build 1", reason="signal 9"),
            "slot 2: runner-0000000a died while it ran build 1: signal 9",
        ),
        (RunnerFailed(**RUNNER, reason="out of memory"), "slot 2: runner-0000000a failed: out of memory"),
        (RunnerRemoved(**RUNNER, reason="its job is done"), "slot 2: runner-0000000a removed"),
        (ScaleSetChanged(at=1.0, scale_set="demo", state="ok", reason=""), ""),
    ],
)
def test_an_event_is_one_line(event, line):
    assert sentence(event) == line


def test_without_a_terminal_each_event_is_a_line(capsys):
    with display(as_json=False) as show:
        show(snapshot([STARTED]))
        show(snapshot())

    assert capsys.readouterr().out == "  1.5 s  slot 2: runner-0000000a started in 0.21 s\n"


def test_with_json_events_are_not_printed(capsys):
    with display(as_json=True) as show:
        show(snapshot([STARTED]))

    assert capsys.readouterr().out == ""


class Screen:
    """Takes the place of Rich's live display."""

    def __init__(self) -> None:
        self.text = ""
        self.console = Console(file=io.StringIO(), width=80, height=24)

    def update(self, page, *, refresh: bool) -> None:
        with self.console.capture() as shown:
            self.console.print(page)
        self.text = shown.get()


def test_the_live_table_has_counts_slots_and_the_last_events():
    screen = Screen()
    live_table = _LiveTable(screen)
    slots = [SlotStatus(0, "busy", "runner-0000000b", "lint 3", 0.0)]

    live_table.show(snapshot([STARTED] * 9))
    live_table.show(snapshot(slots=slots, failed=1))

    assert "12 of 20 queued, 6 wait, 4 run, 2 done, 1 failed" in screen.text
    assert "runner-0000000b" in screen.text
    assert "lint 3" in screen.text
    assert screen.text.count("started in") == 5


def test_the_live_table_fits_the_terminal_and_counts_the_slots_it_leaves_out():
    screen = Screen()
    slots = [SlotStatus(number, "busy", "runner-0000000b", "lint 3", 0.0) for number in range(30)]
    failed = RunnerFailed(**RUNNER, reason="its last output is kept in " + "/a-long-path" * 20)

    _LiveTable(screen).show(snapshot([failed] * 9, slots=slots))

    assert len(screen.text.splitlines()) == 23
    assert "… 16 more" in screen.text


@pytest.mark.parametrize(("running", "done"), [(0, 0), (20, 0), (0, 20), (1, 19), (3, 7)])
def test_the_bar_keeps_its_width(running, done):
    assert len(_bar(snapshot(running=running, done=done))) == 40


def test_the_demo_is_over_when_every_job_has_ended():
    assert snapshot(done=19, failed=1).is_over
    assert not snapshot(done=19).is_over
