"""Names and identities: made and parsed in one place."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import NewType, Self

RunnerName = NewType("RunnerName", str)
"""`runner-` + 8 lower-case hex digits."""
SlotNumber = NewType("SlotNumber", int)
"""A runner's place in its scale set, from 0."""
Generation = NewType("Generation", int)
"""Goes up with each runner in a slot, so that a late answer about an earlier one is dropped."""
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
    """What tells scale sets apart in this program: (url, runner group, name), case ignored.

    (docs/protocol.md § 2: the identity of a scale set.) The parts are stored lower-cased and the URL
    without slashes at its end; what people read is the settings' own spelling.
    """

    url: str
    group: str
    name: str

    @classmethod
    def of(cls, url: str, group: str, name: str) -> Self:
        return cls(url.strip("/").lower(), group.lower(), name.lower())

    def __str__(self) -> str:
        return f"{self.url} {self.group}/{self.name}"
