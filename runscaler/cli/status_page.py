"""The page of `runner status`: a table of the scale sets, and below it what is wrong with them.

`fitted_page` is for a terminal that shows nothing beyond its last row: what is troubled or busy stays.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType
    from rich.text import Text

Json = dict[str, object]

HEADERS = ("SCALE SET", "IDLE", "BUSY", "STARTING", "TOTAL", "MAX", "ASSIGNED", "JOBS DONE", "STATE")
LEFT_OUT_FIRST = ("JOBS DONE", "TOTAL", "MAX", "STARTING", "ASSIGNED", "IDLE")
"""Columns that a narrow terminal loses, in this order."""
GAP = 2
MIN_NAME = len(HEADERS[0])
LONGEST_NOTE = 3
"""Rows of the screen that one problem may take on a fitted page."""
LONGEST_WAIT = 1e9
"""Seconds; another program's answer may hold any number."""


def page(answer: Json) -> RenderableType:
    """Everything, however long."""
    from rich.console import Group

    from runscaler.cli.console import table

    sets = _sets(answer)
    notes = [_text(note) for note in _notes(answer, sets)]
    return Group(_text(_head(answer)), table(HEADERS, _rows(sets)), *notes)


def fitted_page(answer: Json, width: int, height: int) -> RenderableType:
    """At most `height` rows of at most `width` columns. The last row counts what is left out."""
    from rich.console import Group

    from runscaler.cli.console import table

    sets = _sets(answer)
    rows = _rows(sets)
    notes = _cut(_notes(answer, sets), width)
    room = height - 2  # for the head and the headers
    if len(rows) + sum(map(len, notes)) > room:
        order = sorted(range(len(sets)), key=lambda number: _rank(sets[number]))
        notes = _cut(_notes(answer, [sets[number] for number in order]), width)
        shown_notes = _within(notes, max((room - 1) // 2, room - 1 - len(rows)))
        most = max(room - 1 - sum(map(len, shown_notes)), 0)
        rows = [rows[number] for number in order[:most]]
        last = _left_out([sets[number] for number in order[most:]], len(notes) - len(shown_notes))
        notes = [*shown_notes, [_one_row(last, width)]]
    widths = _widths(rows)
    columns = _columns_within(widths, width)
    room = max(width - sum(widths[column] + GAP for column in columns[1:]) - GAP, MIN_NAME)
    cells = [[_one_row(str(row[0]), room).plain, *(row[column] for column in columns[1:])] for row in rows]
    lines = [line for note in notes for line in note]
    head = _one_row(_head(answer), width)
    return Group(head, table([HEADERS[column] for column in columns], cells, one_line=True), *lines)


def _sets(answer: Json) -> list[Json]:
    return [one for one in _list(answer.get("scale_sets")) if isinstance(one, dict)]


def _head(answer: Json) -> str:
    return f"runner {answer.get('version', '?')} (uptime: {answer.get('uptime', '?')})"


def _rank(one: Json) -> int:
    """0 for a scale set in trouble, 1 for one that changes, 2 for one with work, 3 for the rest."""
    state = one.get("state", "ok")
    if state in ("failed", "degraded") or one.get("unmet"):
        return 0
    if state != "ok" or one.get("reason"):
        return 1
    metrics = one.get("metrics")
    jobs = _count(metrics, "assigned_jobs") if isinstance(metrics, dict) else 0
    return 2 if jobs or _count(one, "busy") or _count(one, "starting") else 3


def _within(notes: Sequence[list[Text]], most: int) -> list[list[Text]]:
    """The first notes that together take at most `most` rows."""
    kept: list[list[Text]] = []
    for note in notes:
        most -= len(note)
        if most < 0:
            break
        kept.append(note)
    return kept


def _left_out(sets: Sequence[Json], notes: int) -> str:
    states = Counter(str(one.get("state", "?")) for one in sets)
    counts = ", ".join(f"{number} {state}" for state, number in states.most_common())
    parts = [f"{len(sets)} more scale sets ({counts})"] if sets else []
    parts += [f"{notes} more lines about trouble"] if notes else []
    return f"… {' and '.join(parts)}: runner status shows all"


def _widths(rows: Sequence[Sequence[str | int]]) -> list[int]:
    """Of the columns; that of the name is its least width."""
    widths = [max(len(str(row[column])) for row in (HEADERS, *rows)) for column in range(len(HEADERS))]
    return [MIN_NAME, *widths[1:]]


def _columns_within(widths: Sequence[int], width: int) -> list[int]:
    """The columns that have room. The name of the scale set takes what the others leave."""
    columns = list(range(len(HEADERS)))
    for header in LEFT_OUT_FIRST:
        if sum(widths[column] + GAP for column in columns) <= width:
            break
        columns.remove(HEADERS.index(header))
    return columns


def _cut(notes: Iterable[str], width: int) -> list[list[Text]]:
    """Each note as rows of the screen; the last says with a dot-dot-dot if there is more."""
    from rich.console import Console

    console = Console(width=width)
    wrapped = [list(_text(note).wrap(console, width)) for note in notes]
    for lines in wrapped:
        if len(lines) > LONGEST_NOTE:
            lines[LONGEST_NOTE - 1].truncate(width - 1)
            lines[LONGEST_NOTE - 1].append("…")
    return [lines[:LONGEST_NOTE] for lines in wrapped]


def _one_row(text: str, width: int) -> Text:
    made = _text(text)
    made.truncate(width, overflow="ellipsis")
    return made


def _text(text: str) -> Text:
    from rich.text import Text

    from runscaler.cli.console import printable

    return Text(printable(text))


def labels_of(sets: Sequence[Mapping[str, object]]) -> list[str]:
    """Their names; with the url where several share one, and with the group where that is the same, too."""
    forms = [_forms(one) for one in sets]
    counts = [Counter(form[step] for form in forms) for step in range(2)]
    return [
        next((form[step] for step in range(2) if counts[step][form[step]] == 1), form[2]) for form in forms
    ]


def _forms(one: Mapping[str, object]) -> tuple[str, str, str]:
    name = str(one.get("name", "?"))
    with_url = f"{name} {one.get('url', '')}".rstrip()
    return name, with_url, f"{with_url} {one.get('runner_group', '')}".rstrip()


def _rows(sets: Sequence[Json]) -> list[list[str | int]]:
    return [_row(one, label) for one, label in zip(sets, labels_of(sets), strict=True)]


def _row(one: Mapping[str, object], label: str) -> list[str | int]:
    """A row of the table. The Go tool's answer has fewer keys; missing values are shown as dashes."""
    metrics = one.get("metrics")
    jobs: Mapping[str, object] = metrics if isinstance(metrics, dict) else {}
    numbers = [one.get(key) for key in ("idle", "busy", "starting", "total", "max")]
    numbers += [jobs.get("assigned_jobs"), jobs.get("jobs_completed")]
    cells: list[str | int] = [number if isinstance(number, int) else "-" for number in numbers]
    return [label, *cells, str(one.get("state", "-"))]


def _notes(answer: Json, sets: Sequence[Json]) -> list[str]:
    """The lines below the table: problems and their reasons."""
    given_up = [f"✗ {answer['reason']}"] if answer.get("reason") else []
    named = zip(sets, labels_of(sets), strict=True)
    return [*given_up, *(note for one, label in named for note in _notes_of(one, label))]


def _notes_of(one: Json, label: str) -> Iterator[str]:
    if one.get("reason"):
        yield _state_note(one, label)
    yield from _schedule_notes(one, label)
    for unmet in _list(one.get("unmet")):
        if isinstance(unmet, dict):
            detail = f": {unmet['detail']}" if unmet.get("detail") else ""
            why = f"{unmet.get('reason')}{detail}{next_look(unmet)}"
            yield f"⚠ [{label}] {unmet.get('count')} not started, {why}"
    lost, failed = _count(one, "runners_lost"), _count(one, "runners_failed")
    if lost or failed:
        counts = f"{lost} died in a job, {failed} did not start or had no job"
        yield f"⚠ [{label}] runners since the start: {counts}"


def _schedule_notes(one: Json, label: str) -> Iterator[str]:
    """The window whose limits are in force, and the next one."""
    schedule = one.get("schedule")
    if not isinstance(schedule, dict):
        return
    for key, moment, word in (("window", "closes", "until"), ("next", "opens", "from")):
        window = schedule.get(key)
        if isinstance(window, dict) and (when := _time(window.get(moment))):
            limits = f"min {window.get('min')}, max {window.get('max')}"
            yield f"· [{label}] schedule: {limits} {word} {when} {window.get('timezone')}"


def _time(moment: object) -> str:
    """Of an ISO 8601 time; empty for anything else."""
    from datetime import datetime

    from runscaler.units import format_time

    try:
        return format_time(datetime.fromisoformat(str(moment)))
    except ValueError:
        return ""


def next_look(unmet: Mapping[str, object]) -> str:
    """When its reason is looked at again; empty where that is not known."""
    seconds = unmet.get("look_seconds")
    if not isinstance(seconds, int | float) or not 0 <= seconds < LONGEST_WAIT:
        return ""
    return f"; next look in {max(1.0, seconds):.0f} s"


def _state_note(one: Json, label: str) -> str:
    """The reason for the state, and when the next try is."""
    from runscaler.status import SetState, state_in_words

    reason, seconds = str(one["reason"]), one.get("retry_seconds")
    if one.get("state") == SetState.OK:
        return f"· [{label}] {state_in_words(SetState.OK, reason)}"
    text = f"⚠ [{label}] {reason}"
    if so_long := how_long(one.get("state_seconds")):
        text += f" (for {so_long})"
    if not isinstance(seconds, int | float) or not 0 <= seconds < LONGEST_WAIT:
        return text
    return f"{text}; next try in {max(1.0, seconds):.0f} s"


def how_long(seconds: object) -> str:
    """Such as "5m3s"; empty where it is not told, or nonsense."""
    from runscaler.units import format_uptime

    if not isinstance(seconds, int | float) or not 0 <= seconds < LONGEST_WAIT:
        return ""
    return format_uptime(seconds)


def _count(one: Json, key: str) -> int:
    value = one.get(key)
    return value if isinstance(value, int) else 0


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
