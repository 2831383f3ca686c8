"""The User-Agent of every request: one line of JSON (docs/protocol.md § 3.1)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

SYSTEM = "runscaler"


class Subsystem(StrEnum):
    """The part of the program that makes a call."""

    LISTENER = "listener"
    RUNNER = "runner"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class Identity:
    """This program's version and the commit that it was built from, empty if not known."""

    version: str
    commit: str = ""

    def user_agent(self, scale_set_id: int, subsystem: Subsystem) -> str:
        """`scale_set_id` is 0 until it is known."""
        return json.dumps(
            {
                "system": SYSTEM,
                "version": self.version,
                "commit_sha": self.commit,
                "scale_set_id": scale_set_id,
                "subsystem": subsystem,
                "build_version": self.version,
                "build_commit_sha": self.commit,
                "kind": SYSTEM,
            },
            separators=(",", ":"),
        )
