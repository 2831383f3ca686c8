"""What people see: ✓/✗/⚠ lines, errors with their cures, tables. Colour on a terminal only (`NO_COLOR`).

Names and labels come from GitHub and engines: whatever is printed goes through `printable`.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import click

from runscaler.findings import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

    from runscaler.errors import RunscalerError
    from runscaler.findings import Finding

PLAIN_WIDTH = 200
"""Columns of a table that goes to a file or pipe: wide enough that nothing is cut."""

WORD = 8
"""Columns that a text keeps where the terminal is too narrow for all of it."""


@dataclass(frozen=True, slots=True)
class Mark:
    sign: str
    colour: str


MARKS = {Level.OK: Mark("✓", "green"), Level.WARNING: Mark("⚠", "yellow"), Level.ERROR: Mark("✗", "red")}


def printable(text: str) -> str:
    """The text with everything that could move a cursor or forge a line written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def say(text: str, *, colour: str | None = None, err: bool = False) -> None:
    """One line to standard output (or error)."""
    stream = sys.stderr if err else sys.stdout
    if colour and in_colour(stream):
        click.secho(text, fg=colour, err=err, color=True)
    else:
        click.echo(text, err=err, color=False)


def show_finding(finding: Finding, *, err: bool = False) -> None:
    """`✗ [linux] what is wrong`, with its cures below."""
    mark = MARKS[finding.level]
    where = f"[{printable(finding.scale_set)}] " if finding.scale_set else ""
    first, *more = finding.message.splitlines() or [""]
    say(f"{mark.sign} {where}{printable(first)}", colour=mark.colour, err=err)
    for line in more:
        say(f"  {printable(line)}", err=err)
    show_fixes(finding.fixes, err=err)


def show_fixes(fixes: Iterable[str], *, err: bool = False) -> None:
    for fix in fixes:
        say(f"  → {printable(fix)}", err=err)


def show_error(error: RunscalerError) -> None:
    """One line on standard error for an error of ours; a configuration's has one for each finding."""
    from runscaler.errors import ConfigError

    if isinstance(error, ConfigError):
        for finding in error.findings:
            if finding.level is not Level.OK:
                show_finding(finding, err=True)
        return
    say("error: " + printable(" ".join(str(error).split())), colour="red", err=True)
    show_fixes(error.fixes, err=True)


def show_json(value: Mapping[str, object]) -> None:
    click.echo(json.dumps(value, indent=2))


def console(stream: TextIO | None = None, *, least: int = 0) -> Console:
    """Rich's console for standard output, as wide as the terminal, but at least `least` columns; never
    cutting where there is none."""
    from rich.console import Console

    out = stream or sys.stdout
    terminal = out.isatty()
    made = Console(
        file=out,
        width=None if terminal else PLAIN_WIDTH,
        no_color=not in_colour(out),
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not terminal,
    )
    made.width = max(made.width, least)
    return made


def table(headers: Sequence[str], rows: Iterable[Sequence[str | int]]) -> Table:
    """A borderless table; numbers stand right and whole, text left and folded where it is too long."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    cells = [list(row) for row in rows]
    for position, header in enumerate(headers):
        numeric = bool(cells) and all(isinstance(row[position], int) for row in cells)
        widest = max(len(word) for word in (*header.split(), *(str(row[position]) for row in cells)))
        if numeric:
            made.add_column(header, justify="right", min_width=widest, overflow="fold")
        else:
            made.add_column(header, min_width=min(widest, WORD), overflow="fold")
    for row in cells:
        made.add_row(*(Text(printable(str(cell))) for cell in row))
    return made
