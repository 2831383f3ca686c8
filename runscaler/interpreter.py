"""The Python that runs this program, for child processes that need one."""

from __future__ import annotations

import shlex
import sys

SCRIPT_COMMAND = "_python"
"""The hidden command of a single-file executable that runs a Python script with the Python inside it."""


def is_frozen() -> bool:
    """Whether this is a single-file executable (`scripts/build-release`), with no Python on the host."""
    return bool(getattr(sys, "frozen", False))


def interpreter_words() -> list[str]:
    """The beginning of a command line; Python's own options and a script's path follow."""
    return [sys.executable, SCRIPT_COMMAND] if is_frozen() else [sys.executable]


def interpreter_command() -> str:
    """The same for a shell script."""
    return shlex.join(interpreter_words())
