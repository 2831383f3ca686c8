"""A directory that keeps only its newest files. Failures are logged and never raised."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.files import replace_file
from runscaler.private_files import private_directory

if TYPE_CHECKING:
    from runscaler.clock import Clock


class BoundedFiles:
    """File names start with the time, so sorting by name sorts by age. Thread-safe."""

    def __init__(self, directory: Path, clock: Clock, most: int) -> None:
        self._directory = directory
        self._clock = clock
        self._most = most

    def add(self, name: str, content: bytes) -> Path | None:
        """Write a file and delete the oldest surplus ones. Returns its path; None if that failed (logged).

        `name` is one file name: what is none raises ValueError.
        """
        if Path(name).name != name:
            raise ValueError(f"{name!r} is no file name")
        at = datetime.fromtimestamp(self._clock.wall(), UTC)
        path = self._directory / f"{at:%Y%m%dT%H%M%S.%fZ}-{name}"
        try:
            private_directory(self._directory)
            replace_file(path, content)
            for old in self._others(path)[self._most - 1 :]:
                old.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot keep {}: {}", path, error)
            return None
        return path

    def _others(self, path: Path) -> list[Path]:
        """The other files, newest first. `path` is kept even if the clock has been set back since."""
        return [other for other in newest_first(self._directory) if other != path]


def newest_first(directory: Path) -> list[Path]:
    """The files in a directory, newest first; empty if the directory does not exist."""
    if not directory.is_dir():
        return []
    return sorted((path for path in directory.iterdir() if path.name[0].isdigit()), reverse=True)
