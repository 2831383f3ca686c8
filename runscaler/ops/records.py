"""Records of what this daemon has open at GitHub, so that the next one can clean up after a crash.

They are message sessions, registered runners and scale sets (docs/behaviour.md § 5.3, 6.5, 8.2). Each scale
set has its own file or directory, so that scale sets never wait for each other. Failures are logged and never
raised.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.files import replace_file
from runscaler.github.base import ScaleSetId, SessionId
from runscaler.names import RUNNER_NAME, RunnerName, ScaleSetKey

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SavedSession:
    scale_set_id: ScaleSetId
    session_id: SessionId


class SavedSessions:
    """The open message session of each scale set. Thread-safe for different scale sets.

    Without its record, a session of a dead daemon blocks the scale set for minutes.
    """

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
        """None if there is no record, or an invalid one (logged)."""
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
            logger.warning("cannot delete the saved session of {}: {}", key, error)

    def _path(self, key: ScaleSetKey) -> Path:
        return self._directory / f"{_digest(key)}.json"


class CreatedScaleSets:
    """The scale sets that this daemon created at GitHub. Thread-safe for different scale sets.

    One that is not configured any more is deleted there if it is on record.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, key: ScaleSetKey, scale_set_id: ScaleSetId) -> None:
        content = {"url": key.url, "group": key.group, "name": key.name, "scale_set_id": scale_set_id}
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            replace_file(self._path(key), json.dumps(content).encode())
        except OSError as error:
            logger.warning("cannot record that {} was created: {}", key, error)

    def load(self, key: ScaleSetKey) -> ScaleSetId | None:
        """None if there is no record, or an invalid one (logged)."""
        found = _read_created(self._path(key))
        return found[1] if found is not None and found[0] == key else None

    def clear(self, key: ScaleSetKey) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot delete the record that {} was created: {}", key, error)

    def keys(self) -> list[ScaleSetKey]:
        """Of all on record, sorted."""
        try:
            paths = list(self._directory.glob("*.json"))
        except OSError as error:
            logger.warning("cannot read which scale sets were created: {}", error)
            return []
        read = [_read_created(path) for path in paths]
        return sorted(found[0] for found in read if found is not None)

    def _path(self, key: ScaleSetKey) -> Path:
        return self._directory / f"{_digest(key)}.json"


def _read_created(path: Path) -> tuple[ScaleSetKey, ScaleSetId] | None:
    try:
        content = json.loads(path.read_bytes())
        key = ScaleSetKey.of(str(content["url"]), str(content["group"]), str(content["name"]))
        return key, ScaleSetId(int(content["scale_set_id"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("the record of a created scale set in {} cannot be read: {!r}", path, error)
        return None


class Registrations:
    """The runners that are registered at GitHub or are being registered. Thread-safe.

    A resource carries the name of its runner. But it may not exist yet when the daemon dies, or be gone when
    the next one starts; the next one then finds the registration by the name recorded here. Each record is an
    empty file, as it is read only after a restart. A lost one leaves an unused registration for a day.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def note(self, key: ScaleSetKey, runner: RunnerName) -> None:
        folder = self._folder(key)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / runner).touch(mode=0o600)
        except OSError as error:
            logger.warning("cannot record that {} is registered: {}", runner, error)

    def clear(self, key: ScaleSetKey, runner: RunnerName) -> None:
        try:
            (self._folder(key) / runner).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot delete the record that {} is registered: {}", runner, error)

    def noted(self, key: ScaleSetKey) -> list[RunnerName]:
        """The recorded names, in no particular order. Files with other names are ignored."""
        try:
            found = [entry.name for entry in self._folder(key).iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            logger.warning("cannot read which runners an earlier process registered: {}", error)
            return []
        return [RunnerName(name) for name in found if RUNNER_NAME.match(name)]

    def _folder(self, key: ScaleSetKey) -> Path:
        return self._directory / _digest(key)


def _digest(key: ScaleSetKey) -> str:
    """A file name for a scale set."""
    return hashlib.sha256(str(key).encode()).hexdigest()[:16]
