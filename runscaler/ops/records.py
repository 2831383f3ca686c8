"""Records of what this daemon has open at GitHub, so that the next one can clean up after a crash.

They are message sessions, registered runners and scale sets (docs/behaviour.md § 5.3, 6.5, 8.2). Each scale
set has its own file or directory, so that scale sets never wait for each other. Failures are logged and never
raised.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.marks import scale_set_key
from runscaler.files import replace_file
from runscaler.github.base import ScaleSetId, SessionId
from runscaler.names import RUNNER_NAME, RunnerName, ScaleSetKey
from runscaler.private_files import NotPrivate, private_directory, read_private, touch_private
from runscaler.untrusted import in_one_line, is_number, parse_json

if TYPE_CHECKING:
    from pathlib import Path


MOST_BYTES = 64 * 1024
SESSION_ID = re.compile(r"[A-Za-z0-9-]{1,100}\Z")
"""A UUID, which becomes a part of the path of a call."""


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
            private_directory(self._directory)
            replace_file(self._path(key), json.dumps(content).encode())
        except OSError as error:
            logger.warning("cannot save the session of {}: {}", key, error)

    def load(self, key: ScaleSetKey) -> SavedSession | None:
        """None if there is no record, or an invalid one (logged)."""
        path = self._path(key)
        try:
            content = _read(path)
            session_id = _text(content, "session_id")
            if not SESSION_ID.match(session_id):
                raise ValueError(f"{in_one_line(session_id, 80)!r} is no id of a session")
            return SavedSession(_scale_set_id(content), SessionId(session_id))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("the saved session in {} cannot be read: {}", path, in_one_line(error))
            return None

    def clear(self, key: ScaleSetKey) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot delete the saved session of {}: {}", key, error)

    def _path(self, key: ScaleSetKey) -> Path:
        return self._directory / f"{digest(key)}.json"


class CreatedScaleSets:
    """The scale sets that this daemon created at GitHub. Thread-safe for different scale sets.

    One that is not configured any more is deleted there if it is on record.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, key: ScaleSetKey, scale_set_id: ScaleSetId) -> None:
        content = {"url": key.url, "group": key.group, "name": key.name, "scale_set_id": scale_set_id}
        try:
            private_directory(self._directory)
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
        return self._directory / f"{digest(key)}.json"


def _read_created(path: Path) -> tuple[ScaleSetKey, ScaleSetId] | None:
    try:
        content = _read(path)
        key = scale_set_key(*(_text(content, name) for name in ("url", "group", "name")))
        return key, _scale_set_id(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning("the record of a created scale set in {} cannot be read: {}", path, in_one_line(error))
        return None


def _read(path: Path) -> dict[str, object]:
    """A record. Raises OSError, and ValueError for what is none."""
    content = parse_json(read_private(path, MOST_BYTES))
    if not isinstance(content, dict):
        raise ValueError("it is no record")
    return content


def _text(content: dict[str, object], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value


def _scale_set_id(content: dict[str, object]) -> ScaleSetId:
    value = content.get("scale_set_id")
    if not isinstance(value, int) or not is_number(value):
        raise ValueError("scale_set_id is no id")
    return ScaleSetId(value)


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
            private_directory(self._directory, folder.name)
            touch_private(folder / _file_name(runner))
        except OSError as error:
            logger.warning("cannot record that {} is registered: {}", runner, error)

    def clear(self, key: ScaleSetKey, runner: RunnerName) -> None:
        try:
            (self._folder(key) / _file_name(runner)).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot delete the record that {} is registered: {}", runner, error)

    def noted(self, key: ScaleSetKey) -> list[RunnerName]:
        """The recorded names, in no particular order. Files with other names are ignored."""
        return self.in_folder(self._folder(key))

    def folders(self) -> list[Path]:
        """One for each scale set that has records, sorted."""
        return sorted(self._directory / name for name in _names_in(self._directory))

    def is_of(self, folder: Path, key: ScaleSetKey) -> bool:
        """Whether the records in that folder are this scale set's."""
        return folder == self._folder(key)

    def in_folder(self, folder: Path) -> list[RunnerName]:
        """The recorded names, as of `noted`."""
        return [RunnerName(name) for name in _names_in(folder) if RUNNER_NAME.match(name)]

    def _folder(self, key: ScaleSetKey) -> Path:
        return self._directory / digest(key)


def _file_name(runner: RunnerName) -> str:
    """The runner's name, if it is one of ours: what comes from a label never leads out of the folder."""
    if not RUNNER_NAME.match(runner):
        raise NotPrivate(
            f"{in_one_line(runner, 80)!r} is no name that we give", "remove its container by hand"
        )
    return runner


def digest(key: ScaleSetKey) -> str:
    """A file name for a scale set."""
    return hashlib.sha256(str(key).encode()).hexdigest()[:16]


def _names_in(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        logger.warning("cannot read which runners an earlier process registered: {}", error)
        return []
