"""The demo's output: a live table on a terminal, else one line per event; nothing with --json."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from runscaler.cli.console import console, printable, table
from runscaler.events import (
    JobCompleted,
    JobStarted,
    RunnerFailed,
    RunnerLost,
    RunnerRemoved,
    RunnerStarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from runscaler.events import Event
    from runscaler.status import Status

    Show = Callable[["DemoSnapshot"], None]

BAR_WIDTH = 40
EVENT_LINES = 5
"""Number of event lines below the table."""
OTHER_LINES = 4
"""Counts, bar, headers, and the cursor's own."""


@dataclass(frozen=True, slots=True)
class DemoSnapshot:
    """The state at one moment. `events` are those since the last snapshot; job counts are GitHub's."""

    seconds: float
    total: int
    queued: int
    waiting: int
    running: int
    done: int
    failed: int
    status: Status
    events: tuple[Event, ...]

    @property
    def is_over(self) -> bool:
        return self.done + self.failed == self.total


@contextmanager
def display(*, as_json: bool) -> Iterator[Show]:
    """Yields the function to call with each snapshot."""
    screen = console()
    if as_json:
        yield lambda _snapshot: None
    elif screen.is_terminal:
        with Live(console=screen, auto_refresh=False) as live:
            yield _LiveTable(live).show
    else:
        yield _say_events


class _LiveTable:
    """The table on a terminal; remembers the last events."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._last_events: list[str] = []

    def show(self, snapshot: DemoSnapshot) -> None:
        self._last_events = [*self._last_events, *_lines(snapshot)][-EVENT_LINES:]
        self._live.update(self._page(snapshot), refresh=True)

    def _page(self, snapshot: DemoSnapshot) -> RenderableType:
        events = [
            Text(printable(line), style="dim", no_wrap=True, overflow="ellipsis")
            for line in self._last_events
        ]
        counts, bar = Text(_counts(snapshot)), Text(_bar(snapshot), style="green")
        room = self._live.console.size.height - OTHER_LINES - EVENT_LINES
        return Group(counts, bar, *_slots(snapshot, room), *events)


def _counts(snapshot: DemoSnapshot) -> str:
    failed = f", {snapshot.failed} failed" if snapshot.failed else ""
    return (
        f"{snapshot.seconds:5.1f} s  jobs: {snapshot.queued} of {snapshot.total} queued, "
        f"{snapshot.waiting} wait, "
        f"{snapshot.running} run, {snapshot.done} done{failed}"
    )


def _bar(snapshot: DemoSnapshot) -> str:
    done = BAR_WIDTH * (snapshot.done + snapshot.failed) // snapshot.total
    running = -(-BAR_WIDTH * snapshot.running // snapshot.total)
    return ("━" * done + "╍" * running).ljust(BAR_WIDTH, "·")[:BAR_WIDTH]


def _slots(snapshot: DemoSnapshot, room: int) -> list[RenderableType]:
    """The table of at most `room` slots; a line counts the others."""
    slots = [slot for one in snapshot.status.scale_sets for slot in one.slots]
    rows = [(slot.slot, slot.state, slot.runner, slot.job) for slot in slots]
    most = len(rows) if len(rows) <= room else max(room - 1, 1)
    shown = table(("SLOT", "STATE", "RUNNER", "JOB"), rows[:most])
    return [shown, Text(f"… {len(rows) - most} more")] if most < len(rows) else [shown]


def _say_events(snapshot: DemoSnapshot) -> None:
    for line in _lines(snapshot):
        click.echo(printable(line))


def _lines(snapshot: DemoSnapshot) -> list[str]:
    return [f"{snapshot.seconds:5.1f} s  {text}" for event in snapshot.events if (text := sentence(event))]


def sentence(event: Event) -> str:
    """The line for an event; empty for events that are not shown."""
    match event:
        case RunnerStarted():
            return f"slot {event.slot}: {event.runner} started in {event.seconds:.2f} s"
        case JobStarted():
            return f"slot {event.slot}: {event.runner} runs {event.job}"
        case JobCompleted():
            return f"slot {event.slot}: {event.job} {event.result}"
        case RunnerLost():
            return f"slot {event.slot}: {event.runner} died while it ran {event.job}: {event.reason}"
        case RunnerFailed():
            return f"slot {event.slot}: {event.runner} failed: {event.reason}"
        case RunnerRemoved():
            return f"slot {event.slot}: {event.runner} removed"
        case _:
            return ""
