"""Exit codes: a failing command prints one line to standard error, and a traceback only with debug.

Also prepares the process's streams and exception hooks for that.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import termios
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
    """The message for an unknown command, with the most similar known one."""
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return f"No such command {name!r}." + (f" Did you mean {near[0]!r}?" if near else "")


def wants_debug(words: Sequence[str]) -> bool:
    """Whether the command line contains `--log-level debug`. Errors may occur before click parses it."""
    lower = [word.lower() for word in words]
    return "--log-level=debug" in lower or ("--log-level", "debug") in pairwise(lower)


def after_abort(error: click.Abort) -> int:
    """After Ctrl-C, or at the end of the input while a prompt waits: click raises `Abort` for both."""
    if isinstance(error.__cause__ or error.__context__, EOFError):
        click.echo("error: standard input ended before all questions were answered", err=True)
        return FAILED
    return INTERRUPTED


def after_error(error: RunscalerError, *, debug: bool) -> int:
    """Print one of our own errors to standard error."""
    from runscaler.cli.console import show_error

    show_error(error)
    if debug:
        import traceback

        traceback.print_exception(error)
    return error.exit_code


def after_lost_output(why: str = "") -> int:
    """Standard output cannot be written to: redirect it, so that the last flush at exit does not fail too."""
    if why:
        click.echo(f"error: {why}", err=True)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
    return FAILED


def drop_lost_terminal() -> bool:
    """Redirect the standard streams whose terminal is gone, so that no write to them fails.

    Returns whether there are any. May be called in a signal handler.
    """
    lost = [number for number in range(3) if _is_lost_terminal(number)]
    if lost:
        null = os.open(os.devnull, os.O_RDWR)
        for number in lost:
            os.dup2(null, number)
        os.close(null)
    return bool(lost)


def _is_lost_terminal(number: int) -> bool:
    try:
        termios.tcgetattr(number)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return False


def open_missing_streams() -> None:
    """Open /dev/null for each standard stream that is closed (`>&-`).

    Otherwise the next opened file or socket would get its file descriptor.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def replace_unencodable_characters(stream: TextIO) -> None:
    """A stream whose encoding has no ✓ gets a question mark instead of raising an error."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def hide_tracebacks() -> None:
    """Print one line for an unexpected exception on any thread, and how to see its traceback."""
    sys.excepthook = lambda kind, error, _trace: _one_line(kind, error)
    threading.excepthook = lambda args: _one_line(args.exc_type, args.exc_value)


def _one_line(kind: type[BaseException], error: BaseException | None) -> None:
    click.echo(f"error: unexpected {kind.__name__}: {error}", err=True)
    click.echo(
        "  → this is a bug in runner; repeat the command with --log-level debug to see the traceback",
        err=True,
    )
