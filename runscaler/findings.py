"""What a check found: the one type that configuration, backends and GitHub report problems with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def with_fixes(text: str, fixes: Sequence[str]) -> str:
    """The text and what may be done about it, in one line."""
    return f"{text} ({'; or '.join(fixes)})" if fixes else text


class Level(StrEnum):
    """How bad it is: `OK` is a passed check, `WARNING` runs all the same, `ERROR` does not."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for the user: what, where and why; `fixes` say what to do, most likely first.

    `scale_set` is the set's name, or empty where the finding is not about one.
    """

    level: Level
    message: str
    fixes: tuple[str, ...] = ()
    scale_set: str = ""
