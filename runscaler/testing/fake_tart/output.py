"""The output and the failures of a command."""

from __future__ import annotations

import os
from typing import Any

Json = dict[str, Any]

UNREADABLE = "The data couldn’t be read because it isn’t in the correct format."


class Failure(Exception):
    """Ends the command with `text` on stderr and exit code `code`."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text, self.code = text, code


def validation_error(text: str) -> Failure:
    """As tart prints errors of argument validation and of libraries (docs/tart.md § 4)."""
    return Failure(f"Error: {text}")


def vm_missing(name: str) -> Failure:
    return Failure(f'the specified VM "{name}" does not exist', 2)


def say(text: str) -> None:
    """On stdout."""
    write_all(1, f"{text}\n".encode(errors="surrogateescape"))


def complain(text: str) -> None:
    """On stderr."""
    write_all(2, f"{text}\n".encode(errors="surrogateescape"))


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
