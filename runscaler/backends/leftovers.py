"""An optional interface of backends, for `runner doctor`: what lies on an engine or host, whoever made it.

A factory with a `survey` method has it (`SurveyingFactory`). Everything that is read from a resource may be
forged, so a survey returns only what has the form that we, or the Go tool, give it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from runscaler.backends.base import Resource
from runscaler.names import OwnerId, RunnerName, ScaleSetKey, SlotNumber

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt

NOBODY = OwnerId("")
"""The owner of what has none: volumes, and resources of the Go tool."""
LONGEST_PATH = 4096
LEGACY_RUNNER = re.compile(r"^runner-[0-9a-f]{8}\Z")
LEGACY_CLEANUP = re.compile(r"^(runner|runscaler)-cleanup-[0-9]{1,32}\Z")
LEGACY_POOL = re.compile(r"^pool-[0-9]{1,32}-[0-9]{13}\Z")
"""Names that the Go tool gave (docs/behaviour.md § 14.5)."""


class Kind(StrEnum):
    CONTAINER = "container"
    PROCESS = "process"
    VM = "vm"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A resource or a volume. `state_dir` is what its marks say, an absolute path or "".

    `runner` is the name of the runner in it, if it differs. `users` are the ids of the containers that use
    a volume.
    """

    kind: Kind
    id: str
    name: str
    owner: OwnerId = NOBODY
    state_dir: str = ""
    runner: str = ""
    users: tuple[str, ...] = ()

    def resource(self) -> Resource:
        """For the methods of a backend that only need to know which one it is."""
        nowhere = ScaleSetKey("", "", "")
        return Resource(self.id, self.owner, nowhere, SlotNumber(0), RunnerName(self.name), 0, 0.0)


class Survey(Protocol):
    """One engine or host. Its methods block, and raise `BackendError` and `Interrupted`."""

    @property
    def name(self) -> str:
        """For people: "docker unix:///var/run/docker.sock", "this host"."""

    def leftovers(self) -> list[Leftover]:
        """What daemons made and is still there, whether they live or not. Changes nothing."""

    def runs_a_job(self, leftover: Leftover, interrupt: Interrupt) -> bool | None:
        """As `Backend.runs_a_job`."""

    def remove(self, leftover: Leftover, interrupt: Interrupt) -> None:
        """By force; no error if it is gone already."""

    def close(self) -> None:
        """Close connections."""


@runtime_checkable
class SurveyingFactory(Protocol):
    """A `BackendFactory` whose engine or host can be surveyed."""

    def survey(self, settings: ScaleSetSettings, state_dirs: Sequence[Path], clock: Clock) -> Survey:
        """`state_dirs` are the state directories that are known on this host. Does not connect yet."""


def state_dir_text(value: object) -> str:
    """What a mark says about a state directory; "" if that is no absolute path."""
    if not isinstance(value, str) or not value.startswith("/") or len(value) > LONGEST_PATH:
        return ""
    return value if value.isprintable() else ""
