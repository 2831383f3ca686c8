"""How the demo looks: a live table on a terminal, a line for each event elsewhere, nothing with --json."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from runscaler.cli.console import console, printable, table
from runscaler.events import JobCompleted, JobStarted, RunnerFailed, RunnerRemoved, RunnerStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from runscaler.events import Event
    from runscaler.status import Status

    Show = Callable[["Scene"], None]

BAR = 40
NEWS = 5
"""Lines of events below the table."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What can be seen at one moment; `events` are those since the last. Job counts are GitHub's."""

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
def shown(*, as_json: bool) -> Iterator[Show]:
    """What to call with each scene."""
    screen = console()
    if as_json:
        yield lambda _scene: None
    elif screen.is_terminal:
        with Live(console=screen, auto_refresh=False) as live:
            yield _Picture(live).show
    else:
        yield _say_events


class _Picture:
    """The live table; remembers the last events."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._news: list[str] = []

    def show(self, scene: Scene) -> None:
        self._news = [*self._news, *_lines(scene)][-NEWS:]
        self._live.update(self._page(scene), refresh=True)

    def _page(self, scene: Scene) -> RenderableType:
        news = [Text(printable(line), style="dim") for line in self._news]
        return Group(Text(_counts(scene)), Text(_bar(scene), style="green"), _slots(scene), *news)


def _counts(scene: Scene) -> str:
    failed = f", {scene.failed} failed" if scene.failed else ""
    return (
        f"{scene.seconds:5.1f} s  jobs: {scene.queued} of {scene.total} queued, {scene.waiting} wait, "
        f"{scene.running} run, {scene.done} done{failed}"
    )


def _bar(scene: Scene) -> str:
    done = BAR * (scene.done + scene.failed) // scene.total
    running = -(-BAR * scene.running // scene.total)
    return ("━" * done + "╍" * running).ljust(BAR, "·")[:BAR]


def _slots(scene: Scene) -> RenderableType:
    slots = [slot for one in scene.status.scale_sets for slot in one.slots]
    rows = [(slot.slot, slot.state, slot.runner, slot.job) for slot in slots]
    return table(("SLOT", "STATE", "RUNNER", "JOB"), rows)


def _say_events(scene: Scene) -> None:
    for line in _lines(scene):
        click.echo(printable(line))


def _lines(scene: Scene) -> list[str]:
    return [f"{scene.seconds:5.1f} s  {text}" for event in scene.events if (text := sentence(event))]


def sentence(event: Event) -> str:
    """One event for people; empty for those that say nothing here."""
    match event:
        case RunnerStarted():
            return f"slot {event.slot}: {event.runner} started in {event.seconds:.2f} s"
        case JobStarted():
            return f"slot {event.slot}: {event.runner} runs {event.job}"
        case JobCompleted():
            return f"slot {event.slot}: {event.job} {event.result}"
        case RunnerFailed():
            return f"slot {event.slot}: {event.runner} failed: {event.reason}"
        case RunnerRemoved():
            return f"slot {event.slot}: {event.runner} removed"
        case _:
            return ""
