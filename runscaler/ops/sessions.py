"""The message sessions of this daemon, so that the next can close what a crash left (docs/behaviour.md § 8.2).

A file a scale set, so that listeners never wait for one another.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.files import replace_file
from runscaler.github.base import ScaleSetId, SessionId

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.names import ScaleSetKey


@dataclass(frozen=True, slots=True)
class SavedSession:
    scale_set_id: ScaleSetId
    session_id: SessionId


class Sessions:
    """Thread-safe for different scale sets. A disk that is full costs minutes at GitHub, no crash."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, key: ScaleSetKey, session: SavedSession) -> None:
        content = {
            "scale_set": str(key),
            "scale_set_id": session.scale_set_id,
            "session_id": session.session_id,
        }
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            replace_file(self._path(key), json.dumps(content).encode())
        except OSError as error:
            logger.warning("cannot save the session of {}: {}", key, error)

    def load(self, key: ScaleSetKey) -> SavedSession | None:
        """None where there is none, or none that can be read."""
        path = self._path(key)
        try:
            content = json.loads(path.read_bytes())
            scale_set_id, session_id = int(content["scale_set_id"]), str(content["session_id"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("the saved session in {} cannot be read: {!r}", path, error)
            return None
        return SavedSession(ScaleSetId(scale_set_id), SessionId(session_id))

    def clear(self, key: ScaleSetKey) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot forget the session of {}: {}", key, error)

    def _path(self, key: ScaleSetKey) -> Path:
        return self._directory / f"{hashlib.sha256(str(key).encode()).hexdigest()[:16]}.json"
