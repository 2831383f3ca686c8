"""A directory that keeps the newest few of what is put into it. Nothing here is worth a crash."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.clock import Clock


class BoundedFiles:
    """Files named by their time, so that their order is their names'. Safe from many threads."""

    def __init__(self, directory: Path, clock: Clock, most: int) -> None:
        self._directory = directory
        self._clock = clock
        self._most = most

    def put(self, name: str, content: bytes) -> Path | None:
        """Where it was put; None where it could not be, which is logged. `name` must be safe."""
        at = datetime.fromtimestamp(self._clock.wall(), UTC)
        path = self._directory / f"{at:%Y%m%dT%H%M%S.%fZ}-{name}"
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            replace_file(path, content)
            for old in self._others(path)[self._most - 1 :]:
                old.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot keep {}: {}", path, error)
            return None
        return path

    def _others(self, path: Path) -> list[Path]:
        """Newest first. What was just put is the newest, though others may be of a clock that was ahead."""
        return [other for other in newest_first(self._directory) if other != path]


def newest_first(directory: Path) -> list[Path]:
    """The files in it, newest first; none where there is no such directory."""
    if not directory.is_dir():
        return []
    return sorted((path for path in directory.iterdir() if path.name[0].isdigit()), reverse=True)
