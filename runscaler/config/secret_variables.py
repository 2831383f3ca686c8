"""Environment variables that hold secrets of this process, and are kept from the programs that it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "RUNNER_TOKEN"
DEPRECATED_VARIABLE = "RUNSCALER_TOKEN"

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""systemd's folder of credentials (LoadCredential)."""

_hidden = {VARIABLE, DEPRECATED_VARIABLE, CREDENTIALS}
"""Of the whole process, as its environment is. Names are only ever added."""


def hide_from_children(name: str) -> None:
    """From now on `child_environment` leaves this variable out: a token or key was read from it."""
    _hidden.add(name)


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program that this process starts: without the variables that hold secrets."""
    return {name: value for name, value in environ.items() if name not in _hidden}
