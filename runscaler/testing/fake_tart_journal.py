"""The calls of `tart` on a fake Mac, read from its journal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Call:
    """One call of `tart`; times are seconds of the system's monotonic clock."""

    argv: tuple[str, ...]
    pid: int
    start: float
    home: str
    environment: tuple[str, ...]
    """Only the names of its variables."""
    end: float | None
    code: int | None
    """None if it runs or was killed."""
    stdin_length: int
    stdin_sha256: str
    """Empty if nothing was read."""

    @property
    def command(self) -> str:
        return self.argv[0] if self.argv else ""


def read_journal(path: Path) -> list[Call]:
    """All calls, in the order in which they began."""
    facts: dict[str, dict[str, Any]] = {}
    for line in path.read_text().splitlines(keepends=True) if path.exists() else []:
        if not line.endswith("\n"):
            break  # it is just being written
        entry = json.loads(line)
        facts.setdefault(entry.pop("call"), {}).update(entry)
    return [_call(entry) for entry in facts.values()]


def _call(entry: dict[str, Any]) -> Call:
    return Call(
        argv=tuple(entry["argv"]),
        pid=entry["pid"],
        start=entry["start"],
        home=entry["home"],
        environment=tuple(entry["env"]),
        end=entry.get("end"),
        code=entry.get("code"),
        stdin_length=entry.get("stdin_length", 0),
        stdin_sha256=entry.get("stdin_sha256", ""),
    )
