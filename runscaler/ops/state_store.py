"""State that outlives an actor: in the state directory if there is one, else in memory."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from runscaler.names import RunnerName
from runscaler.ops.records import SavedSession

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.base import Ending
    from runscaler.github.base import ScaleSetId, SessionId
    from runscaler.names import ScaleSetKey
    from runscaler.ops.state_dir import StateDir


class StateStore:
    """Thread-safe, as each scale set uses its own keys only."""

    def __init__(self, state_dir: StateDir | None) -> None:
        self._state_dir = state_dir
        self._sessions: dict[ScaleSetKey, SavedSession] = {}
        self._registrations: defaultdict[ScaleSetKey, set[RunnerName]] = defaultdict(set)
        """Used only without a state directory, like `_created`."""
        self._created: dict[ScaleSetKey, ScaleSetId] = {}

    def load_session(self, key: ScaleSetKey) -> tuple[ScaleSetId, SessionId] | None:
        saved = self._sessions.get(key)
        if saved is None and self._state_dir is not None:
            saved = self._state_dir.sessions.load(key)
        return None if saved is None else (saved.scale_set_id, saved.session_id)

    def save_session(self, key: ScaleSetKey, scale_set_id: ScaleSetId, session_id: SessionId) -> None:
        saved = self._sessions[key] = SavedSession(scale_set_id, session_id)
        if self._state_dir is not None:
            self._state_dir.sessions.save(key, saved)

    def clear_session(self, key: ScaleSetKey) -> None:
        self._sessions.pop(key, None)
        if self._state_dir is not None:
            self._state_dir.sessions.clear(key)

    def save_created(self, key: ScaleSetKey, scale_set_id: ScaleSetId) -> None:
        if self._state_dir is None:
            self._created[key] = scale_set_id
        else:
            self._state_dir.created.save(key, scale_set_id)

    def created_scale_set(self, key: ScaleSetKey) -> ScaleSetId | None:
        if self._state_dir is None:
            return self._created.get(key)
        return self._state_dir.created.load(key)

    def clear_created(self, key: ScaleSetKey) -> None:
        if self._state_dir is None:
            self._created.pop(key, None)
        else:
            self._state_dir.created.clear(key)

    def created_scale_sets(self) -> list[ScaleSetKey]:
        if self._state_dir is None:
            return sorted(self._created)
        return self._state_dir.created.keys()

    def note_registration(self, key: ScaleSetKey, runner: RunnerName) -> None:
        if self._state_dir is None:
            self._registrations[key].add(runner)
        else:
            self._state_dir.registrations.note(key, runner)

    def clear_registration(self, key: ScaleSetKey, runner: RunnerName) -> None:
        if self._state_dir is None:
            self._registrations[key].discard(runner)
        else:
            self._state_dir.registrations.clear(key, runner)

    def noted_registrations(self, key: ScaleSetKey) -> list[RunnerName]:
        if self._state_dir is None:
            return sorted(self._registrations[key].copy())
        return self._state_dir.registrations.noted(key)

    def set_aside(self, key: ScaleSetKey, batch_id: int, content: str) -> Path | None:
        if self._state_dir is None:
            return None
        return self._state_dir.set_aside(key, batch_id, content, "its handling crashed three times")

    def journal(self, key: ScaleSetKey, kind: str, **content: object) -> None:
        if self._state_dir is not None:
            self._state_dir.journal.append(key, kind, content)

    def keep_output(self, key: ScaleSetKey, runner: str, output: bytes, ending: Ending | None) -> Path | None:
        if self._state_dir is None:
            return None
        return self._state_dir.keep_output(key, RunnerName(runner), output, ending)
