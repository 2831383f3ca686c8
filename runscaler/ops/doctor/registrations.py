"""Runners that dead daemons left registered at GitHub (docs/behaviour.md § 11, 14.5).

A label names none of them. The dead daemon's own notes do, in its state directory; one is removed only if
GitHub says that it is of the scale set of that note.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.errors import ConfigError, GitHubError, HostError
from runscaler.ops.records import CreatedScaleSets, Registrations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService
    from runscaler.github.messages import RegisteredRunner
    from runscaler.interrupt import Interrupt
    from runscaler.names import RunnerName, ScaleSetKey

RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Note:
    """A runner that a dead daemon noted as registered. `key` is None if nothing tells its scale set."""

    state_dir: Path
    key: ScaleSetKey | None
    runner: RunnerName

    @property
    def where(self) -> str:
        return str(self.key) if self.key is not None else "a scale set that is not known any more"


def notes_in(state_dir: Path, configured: Sequence[ScaleSetKey]) -> list[Note]:
    """All notes of a dead daemon. They are filed by scale set: `configured` helps to tell which it is."""
    registrations = Registrations(state_dir / "registrations")
    keys = dict.fromkeys([*created_in(state_dir), *configured])
    return [
        Note(state_dir, key, runner)
        for folder in registrations.folders()
        for key in [next((one for one in keys if registrations.is_of(folder, one)), None)]
        for runner in sorted(registrations.in_folder(folder))
    ]


def created_in(state_dir: Path) -> list[ScaleSetKey]:
    """The scale sets that a dead daemon created at GitHub."""
    return CreatedScaleSets(state_dir / "scale-sets").keys()


class GitHub:
    """Looks up and removes registrations, with the credentials of the configured scale sets."""

    def __init__(
        self,
        scale_sets: Sequence[ScaleSetSettings],
        connect: Callable[[ScaleSetSettings], ScaleSetService],
        interrupt: Interrupt,
    ) -> None:
        self._settings = {one.key: one for one in scale_sets}
        self._connect = connect
        self._interrupt = interrupt
        self._services: dict[ScaleSetKey, ScaleSetService] = {}

    def knows(self, note: Note) -> bool:
        """Is there a credential for its scale set?"""
        return note.key in self._settings

    def find(self, note: Note) -> RegisteredRunner | None:
        """None if it is not registered any more. Raises `GitHubError`, `HostError` and `ConfigError`."""
        return self._service(note).find_runner(note.runner, self._interrupt, RETRY_SECONDS)

    def is_of_its_scale_set(self, note: Note, runner: RegisteredRunner) -> bool | None:
        """By what GitHub says, not by its name; None if it does not say. Raises as `find` does."""
        if not runner.scale_set_id:
            return None
        service, settings = self._service(note), self._of(note)
        group = service.group_id(settings.runner_group, self._interrupt, RETRY_SECONDS)
        found = service.find_scale_set(settings.name, group, self._interrupt, RETRY_SECONDS)
        return found is not None and runner.scale_set_id == found.id

    def remove(self, note: Note, runner: RegisteredRunner) -> None:
        """Raises as `find` does, and `JobStillRunning`."""
        self._service(note).remove_runner(runner.id, self._interrupt, RETRY_SECONDS)
        self.forget(note)

    def forget(self, note: Note) -> None:
        """It is not registered any more, so the note goes too."""
        if note.key is not None:
            Registrations(note.state_dir / "registrations").clear(note.key, note.runner)

    def _of(self, note: Note) -> ScaleSetSettings:
        assert note.key is not None, "only what `knows` says is asked about"
        return self._settings[note.key]

    def _service(self, note: Note) -> ScaleSetService:
        settings = self._of(note)
        if settings.key not in self._services:
            self._services[settings.key] = self._connect(settings)
        return self._services[settings.key]


AWAY = (GitHubError, HostError, ConfigError)
"""What keeps GitHub from being asked, and what it refuses."""
