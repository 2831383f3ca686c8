"""Output for people: ✓/✗/⚠ lines, errors with fixes, tables. Colour only on a terminal without `NO_COLOR`.

Names and labels from GitHub and engines are untrusted, so everything printed passes through `printable`.
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
"""Width of a table in a file or pipe, in columns: wide enough that nothing is cut off."""

MIN_TEXT_WIDTH = 8
"""The least width of a text column on a narrow terminal."""


@dataclass(frozen=True, slots=True)
class Mark:
    sign: str
    colour: str


MARKS = {Level.OK: Mark("✓", "green"), Level.WARNING: Mark("⚠", "yellow"), Level.ERROR: Mark("✗", "red")}


def printable(text: str) -> str:
    """The text with line breaks, control and other unprintable characters written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def say(text: str, *, colour: str | None = None, err: bool = False) -> None:
    """Print one line to standard output, or to standard error."""
    stream = sys.stderr if err else sys.stdout
    if colour and in_colour(stream):
        click.secho(text, fg=colour, err=err, color=True)
    else:
        click.echo(text, err=err, color=False)


def show_finding(finding: Finding, *, err: bool = False) -> None:
    """Print `✗ [linux] message` and its fixes below."""
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
    """Print an error to standard error: one line, or for a `ConfigError` one line per finding."""
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
    """A Rich console as wide as the terminal, but at least `least` columns; in a pipe it cuts nothing off."""
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
    if made.width < least:
        made.width = least  # only then, as a width that is set does not follow the terminal's
    return made


def table(headers: Sequence[str], rows: Iterable[Sequence[str | int]], *, one_line: bool = False) -> Table:
    """A table without borders. Numbers are right-aligned and never cut; long texts are wrapped. With
    `one_line` each row is one line, which the caller must have made to fit."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    cells = [list(row) for row in rows]
    for position, header in enumerate(headers):
        numeric = bool(cells) and all(isinstance(row[position], int) for row in cells)
        widest = max(len(word) for word in (*header.split(), *(str(row[position]) for row in cells)))
        if one_line:
            made.add_column(header, justify="right" if numeric else "left", no_wrap=True)
        elif numeric:
            made.add_column(header, justify="right", min_width=widest, overflow="fold")
        else:
            made.add_column(header, min_width=min(widest, MIN_TEXT_WIDTH), overflow="fold")
    for row in cells:
        made.add_row(*(Text(printable(str(cell))) for cell in row))
    return made
