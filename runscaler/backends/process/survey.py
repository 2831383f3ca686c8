"""The runners of all daemons of this user on this host, by their directories, for `runner doctor`."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.base import BackendContext
from runscaler.backends.leftovers import Kind, Leftover
from runscaler.backends.process.backend import ProcessBackend
from runscaler.errors import BackendError
from runscaler.names import OWNER_ID, RUNNER_NAME, OwnerId

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt


class ProcessSurvey:
    """See `Survey`."""

    name = "this host"

    def __init__(self, state_dirs: Sequence[Path], clock: Clock) -> None:
        self._state_dirs = state_dirs
        self._clock = clock

    def leftovers(self) -> list[Leftover]:
        return [
            *(one for path in self._state_dirs for one in _runners_in(path, str(path))),
            *_runners_in(Path(tempfile.gettempdir()) / f"runscaler-{os.getuid()}", ""),
        ]

    def runs_a_job(self, leftover: Leftover, interrupt: Interrupt) -> bool | None:
        with closing(self._backend_of(leftover)) as backend:
            return backend.runs_a_job(leftover.resource(), interrupt)

    def remove(self, leftover: Leftover, interrupt: Interrupt) -> None:
        with closing(self._backend_of(leftover)) as backend:
            backend.remove(leftover.resource(), force=True, interrupt=interrupt)

    def close(self) -> None:
        """Nothing is open."""

    def _backend_of(self, leftover: Leftover) -> ProcessBackend:
        state_dir = Path(leftover.state_dir) if leftover.state_dir else None
        return ProcessBackend(BackendContext(leftover.owner, state_dir, self._clock))


def _runners_in(base: Path, state_dir: str) -> Iterator[Leftover]:
    """Raises `BackendError` if they cannot be listed."""
    for folder in _names_in(base / "process"):
        if OWNER_ID.match(folder):
            for name in _names_in(base / "process" / folder):
                if RUNNER_NAME.match(name):
                    yield Leftover(Kind.PROCESS, name, name, OwnerId(folder), state_dir)


def _names_in(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BackendError(f"cannot list the runners: {error}") from error
