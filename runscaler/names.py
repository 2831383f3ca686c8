"""Names and ids: what they look like and how they are made."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import NewType, Self

RunnerName = NewType("RunnerName", str)
"""`runner-` and 8 lower-case hex digits."""
SlotNumber = NewType("SlotNumber", int)
"""The number of a slot in its scale set, from 0."""
Generation = NewType("Generation", int)
"""Counts the runners of a slot, so that a late answer about an earlier one can be dropped."""
OwnerId = NewType("OwnerId", str)
"""32 hex digits: the identity that a daemon writes on every resource it makes."""

RUNNER_NAME = re.compile(r"^runner-[0-9a-f]{8}\Z")
OWNER_ID = re.compile(r"^[0-9a-f]{32}\Z")


def new_runner_name() -> RunnerName:
    return RunnerName(f"runner-{secrets.token_hex(4)}")


def new_owner_id() -> OwnerId:
    return OwnerId(secrets.token_hex(16))


@dataclass(frozen=True, slots=True, order=True)
class ScaleSetKey:
    """Identifies a scale set by its config URL, runner group and name, in any case (docs/protocol.md § 2).

    All parts are kept in lower case, the URL without a slash at its end. People are shown the settings'
    own spelling.
    """

    url: str
    group: str
    name: str

    @classmethod
    def of(cls, url: str, group: str, name: str) -> Self:
        return cls(url.strip("/").lower(), group.lower(), name.lower())

    def __str__(self) -> str:
        return f"{self.url} {self.group}/{self.name}"
