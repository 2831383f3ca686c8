"""One owner's runners, as their directories and the host's processes together tell.

    <state-dir>/process/<owner>/<runner>/      (without a state-dir below the temporary directory)

What the marks say and what lives decide: marks with a living main process run; marks without one
have ended, or never started (the daemon was killed in between). A directory whose marks were never
written, and that no process belongs to, is swept away when it is listed.
"""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.base import Ending
from runscaler.backends.process.children import CHILDREN
from runscaler.backends.process.process_tree import ProcessTree
from runscaler.backends.process.runner_directory import RunnerDirectory
from runscaler.errors import BackendError
from runscaler.names import RUNNER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import BackendContext
    from runscaler.backends.process.runner_directory import Marks
    from runscaler.interrupt import Interrupt


class RunnerInventory:
    """Thread-safe. Raises OSError and `psutil.Error`, which the backend translates."""

    def __init__(self, context: BackendContext) -> None:
        self._owner = context.owner
        self._clock = context.clock
        self._state_dir = context.state_dir
        self._starting: set[str] = set()
        self._lock = threading.Lock()

    def home(self, runner: str) -> RunnerDirectory | None:
        """None for what is no runner's name, so that no other path can be meant."""
        return RunnerDirectory(self._root() / runner) if RUNNER_NAME.match(runner) else None

    @contextmanager
    def starting(self, runner: str) -> Iterator[RunnerDirectory]:
        """A home that is not listed until it is complete."""
        root = self._root()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock:
            self._starting.add(runner)
        try:
            yield RunnerDirectory(root / runner)
        finally:
            with self._lock:
                self._starting.discard(runner)

    def mark_of(self, home: RunnerDirectory) -> str:
        return f"{self._owner}/{home.id}"

    def tree(self, home: RunnerDirectory, marks: Marks | None = None) -> ProcessTree:
        mark = self.mark_of(home)
        return ProcessTree(mark, marks.pid, marks.process_created) if marks else ProcessTree(mark)

    def listed(self) -> list[Marks]:
        """The complete ones as they are now."""
        root = self._root()
        names = sorted(entry.name for entry in root.iterdir()) if root.is_dir() else []
        with self._lock:
            complete = [RunnerDirectory(root / name) for name in names if name not in self._starting]
        CHILDREN.reap_lost(f"{self._owner}/", lambda mark: (root.parent / mark).is_dir())
        return [marks for marks in map(self._state_or_swept, complete) if marks is not None]

    def state(self, home: RunnerDirectory) -> Marks | None:
        """Its marks as they are now, with its ending where its main process is gone."""
        marks = home.marks()
        if marks is None:
            CHILDREN.exit_code(self.mark_of(home))  # no zombie stays, whoever removed the directory
        if marks is None or marks.ending is not None:
            return marks
        if not marks.pid:
            marks = self._with_process_found(home, marks)
        if self.tree(home, marks).leader() is not None:
            return marks
        return self._mark(home, marks.model_copy(update={"ending": self._ending(home)}))

    def note_process(self, home: RunnerDirectory, marks: Marks, pid: int, created: float) -> Marks:
        """Write down which process it is."""
        noted = marks.with_process(pid, created)
        home.mark(noted)
        return noted

    def remove(self, home: RunnerDirectory, marks: Marks | None, interrupt: Interrupt) -> None:
        """End all its processes, then delete it."""
        self.tree(home, marks).kill(self._clock, interrupt)
        CHILDREN.forget(self.mark_of(home))
        home.clear()
        with self._lock:
            home.delete()

    def close(self) -> None:
        """Leave no empty directories."""
        with suppress(OSError, BackendError):
            root = self._root()
            for directory in (root, root.parent):
                directory.rmdir()

    def _root(self) -> Path:
        base = self._state_dir if self._state_dir is not None else _temporary_base()
        return base / "process" / self._owner

    def _state_or_swept(self, home: RunnerDirectory) -> Marks | None:
        marks = self.state(home)
        if marks is None and home.path.is_dir():
            self._sweep(home)
        return marks

    def _sweep(self, home: RunnerDirectory) -> None:
        if self.tree(home).first_marked() is not None:
            logger.warning("{} has lost its marks while its runner lives: it is left alone", home.path)
            return
        home.clear()
        with self._lock:
            home.delete()

    def _with_process_found(self, home: RunnerDirectory, marks: Marks) -> Marks:
        """The daemon was killed after the process began and before it was written down, or earlier."""
        process = self.tree(home).first_marked()
        if process is None:
            return marks
        found = marks.with_process(process.pid, process.create_time())
        return self._mark(home, found) or found

    def _ending(self, home: RunnerDirectory) -> Ending:
        code = CHILDREN.exit_code(self.mark_of(home))
        by_signal = code is not None and code < 0
        return Ending(
            exit_code=None if by_signal else code,
            signal=-code if code is not None and by_signal else None,
            at=self._clock.wall(),
        )

    def _mark(self, home: RunnerDirectory, marks: Marks) -> Marks | None:
        """None where it was deleted meanwhile; never brings a deleted one back.

        Where they cannot be written, as on a full disk, they count all the same: a removal makes room."""
        with self._lock, suppress(OSError):
            try:
                home.mark(marks)
            except FileNotFoundError:
                return None
        return marks


def _temporary_base() -> Path:
    """A directory in a place where anyone may write: taken only if it is truly ours."""
    base = Path(tempfile.gettempdir()) / f"runscaler-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise BackendError(
            f"{base} is not a directory of this user alone: somebody else made it or may write to it",
            fixes=("remove it", "set state-dir to a directory that only this user may write to"),
        )
    return base
