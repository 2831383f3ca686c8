"""The result of a check: configuration, backends and GitHub all report problems as `Finding`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def with_fixes(text: str, fixes: Sequence[str]) -> str:
    """One line: the text and what the user can do about it."""
    return f"{text} ({'; or '.join(fixes)})" if fixes else text


class Level(StrEnum):
    """`OK` is a passed check; the daemon runs in spite of a `WARNING`, but not with an `ERROR`."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for the user; `fixes` say what to do about it, most likely fix first.

    `scale_set` is the name of the scale set concerned, or empty.
    """

    level: Level
    message: str
    fixes: tuple[str, ...] = ()
    scale_set: str = ""
