"""What a check found: the one type that configuration, backends and GitHub report problems with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
