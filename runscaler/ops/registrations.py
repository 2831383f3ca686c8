"""The names of runners that are registered at GitHub, or are just being (docs/behaviour.md § 5.3, 8.2).

A resource says so itself, but it may not exist yet when the daemon dies, or no more when the next one
starts: that one looks for such a registration by its name. An empty file for each, as nobody reads it but
after a crash.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.names import RUNNER_NAME, RunnerName

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.names import ScaleSetKey


class Registrations:
    """Thread-safe: every runner has a file of its own. A disk that is full costs a registration for a
    day at GitHub, no crash."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def note(self, key: ScaleSetKey, runner: RunnerName) -> None:
        folder = self._folder(key)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / runner).touch(mode=0o600)
        except OSError as error:
            logger.warning("cannot write down that {} is registered: {}", runner, error)

    def clear(self, key: ScaleSetKey, runner: RunnerName) -> None:
        try:
            (self._folder(key) / runner).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot forget that {} was registered: {}", runner, error)

    def noted(self, key: ScaleSetKey) -> list[RunnerName]:
        """In no order; what is not a runner's name is somebody else's file."""
        try:
            found = [entry.name for entry in self._folder(key).iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            logger.warning("cannot tell what an earlier process left registered: {}", error)
            return []
        return [RunnerName(name) for name in found if RUNNER_NAME.match(name)]

    def _folder(self, key: ScaleSetKey) -> Path:
        return self._directory / hashlib.sha256(str(key).encode()).hexdigest()[:16]
