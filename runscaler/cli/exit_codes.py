"""How a command ends: one clear line and an exit code; a traceback only where debug is asked for."""

from __future__ import annotations

import io
import os
import sys
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runscaler.errors import RunscalerError

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130
TERMINATED = 143


def unknown_command(name: str, known: Iterable[str]) -> str:
    """The sentence for a command that does not exist, with the nearest one that does."""
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return f"No such command {name!r}." + (f" Did you mean {near[0]!r}?" if near else "")


def wants_debug(words: Sequence[str]) -> bool:
    """Does the command line ask for tracebacks? Read by hand, as an error may come before the parsing."""
    return "--log-level=debug" in words or ("--log-level", "debug") in pairwise(words)


def aborted(error: click.Abort) -> int:
    """Ctrl-C, or an input that ended where an answer was needed: click has one exception for both."""
    if isinstance(error.__cause__ or error.__context__, EOFError):
        click.echo("error: the input ended before all questions were answered", err=True)
        return FAILED
    return INTERRUPTED


def failed(error: RunscalerError, *, debug: bool) -> int:
    """Show an error of ours on standard error."""
    from runscaler.cli.console import show_error

    show_error(error)
    if debug:
        import traceback

        traceback.print_exception(error)
    return error.exit_code


def unheard(why: str = "") -> int:
    """Our output goes nowhere: write no more of it, nor when the interpreter flushes at its end."""
    if why:
        click.echo(f"error: {why}", err=True)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return FAILED


def open_missing_streams() -> None:
    """A stream that was closed before we began (`>&-`) goes nowhere.

    Left free, its number would be the next file's or socket's that is opened.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def tolerate_odd_characters(stream: TextIO) -> None:
    """A terminal that has no ✓ gets a question mark instead of a crash."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def speak_plainly() -> None:
    """What nobody expected is a bug of ours: one line, on whichever thread, and how to see more."""
    sys.excepthook = lambda kind, error, _trace: _one_line(kind, error)
    threading.excepthook = lambda args: _one_line(args.exc_type, args.exc_value)


def _one_line(kind: type[BaseException], error: BaseException | None) -> None:
    click.echo(f"error: unexpected {kind.__name__}: {error}", err=True)
    click.echo("  → a bug in runner; the same command with --log-level debug shows the traceback", err=True)
