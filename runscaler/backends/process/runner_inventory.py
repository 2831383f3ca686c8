"""All runners of one owner, as their directories and the host's processes together tell.

    <state-dir>/process/<owner>/<runner>/      (without a state-dir, below the temporary directory)

A runner whose marks name a living main process runs. One with marks but without such a process has
ended, or never started because the daemon was killed before it could. A directory without readable
marks is deleted when it is listed, unless a process still carries the runner's mark.
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
from runscaler.backends.marks import UnreadableResources
from runscaler.backends.process.process_tree import RUNNER_PROCESSES, ProcessTree
from runscaler.backends.process.runner_directory import RunnerDirectory
from runscaler.errors import BackendError
from runscaler.names import RUNNER_NAME
from runscaler.private_files import NotPrivate, private_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import BackendContext
    from runscaler.backends.process.runner_directory import Marks
    from runscaler.interrupt import Interrupt


class RunnerInventory:
    """Thread-safe. Raises OSError and `psutil.Error`, which the backend translates, and `BackendError`."""

    def __init__(self, context: BackendContext) -> None:
        self._owner = context.owner
        self._names = ("process", context.owner)
        self._clock = context.clock
        self._state_dir = context.state_dir
        self._starting: set[str] = set()
        self._unreadable = UnreadableResources()
        self._lock = threading.Lock()

    def directory(self, runner: str) -> RunnerDirectory | None:
        """None if that is no runner's name, so that it cannot lead to any other path."""
        return RunnerDirectory(self._root() / runner) if RUNNER_NAME.match(runner) else None

    @contextmanager
    def starting(self, runner: str) -> Iterator[RunnerDirectory]:
        """The directory for a new runner, which is not listed before the block ends."""
        root = private_directory(self.base(), *self._names)
        with self._lock:
            self._starting.add(runner)
        try:
            yield RunnerDirectory(root / runner)
        finally:
            with self._lock:
                self._starting.discard(runner)

    def mark_of(self, directory: RunnerDirectory) -> str:
        return f"{self._owner}/{directory.id}"

    def process_tree(self, directory: RunnerDirectory, marks: Marks | None = None) -> ProcessTree:
        mark = self.mark_of(directory)
        return ProcessTree(mark, marks.pid, marks.process_created) if marks else ProcessTree(mark)

    def all_marks(self) -> list[Marks]:
        """Up-to-date marks of all runners but those whose start is under way."""
        root = self._root()
        names = sorted(entry.name for entry in root.iterdir()) if root.is_dir() else []
        with self._lock:
            complete = [name for name in names if RUNNER_NAME.match(name) and name not in self._starting]
        self._reap_deleted(root)
        found = [self._marks_or_delete(RunnerDirectory(root / name)) for name in complete]
        return [marks for marks in found if marks is not None]

    def current_marks(self, directory: RunnerDirectory) -> Marks | None:
        """Its marks, with its ending if its main process is gone."""
        marks = directory.marks()
        if marks is None:
            RUNNER_PROCESSES.exit_code(self.mark_of(directory))  # reaps it, whoever deleted the directory
        if marks is None or marks.ending is not None:
            return marks
        if not marks.pid:
            marks = self._with_process_found(directory, marks)
        if self.process_tree(directory, marks).main_process() is not None:
            return marks
        return self._write_marks(directory, marks.with_ending(self._ending(directory)))

    def remove(self, directory: RunnerDirectory, marks: Marks | None, interrupt: Interrupt) -> None:
        """End all its processes, then delete it."""
        self.process_tree(directory, marks).kill(self._clock, interrupt)
        RUNNER_PROCESSES.forget(self.mark_of(directory))
        self._delete(directory)

    def close(self) -> None:
        """Leave no empty directories behind."""
        with suppress(OSError, BackendError):
            root = self._root()
            for directory in (root, root.parent):
                directory.rmdir()

    def base(self) -> Path:
        """The directory below which all runners have theirs."""
        return self._state_dir if self._state_dir is not None else _temporary_base()

    def _root(self) -> Path:
        return self.base().joinpath(*self._names)

    def _reap_deleted(self, root: Path) -> None:
        """Ended runners whose directories somebody deleted by hand."""
        ours = f"{self._owner}/"
        RUNNER_PROCESSES.forget_ended(
            lambda mark: mark.startswith(ours) and not (root.parent / mark).is_dir()
        )

    def _marks_or_delete(self, directory: RunnerDirectory) -> Marks | None:
        marks = self.current_marks(directory)
        if marks is None and directory.has_marks:
            self._unreadable.warn([(str(directory.path), "its marks.json is none of ours")])
        elif marks is None and directory.path.is_dir():
            if self.process_tree(directory).oldest_marked() is None:
                self._delete(directory)
            else:
                logger.warning("{} has no marks, but its runner lives: it is left alone", directory.path)
        return marks

    def _delete(self, directory: RunnerDirectory) -> None:
        directory.delete_content()
        with self._lock:
            directory.delete()

    def _with_process_found(self, directory: RunnerDirectory, marks: Marks) -> Marks:
        """For a daemon that was killed before it could write the pid down."""
        process = self.process_tree(directory).oldest_marked()
        if process is None:
            return marks
        found = marks.with_process(process.pid, process.create_time())
        return self._write_marks(directory, found) or found

    def _ending(self, directory: RunnerDirectory) -> Ending:
        code = RUNNER_PROCESSES.exit_code(self.mark_of(directory))
        if code is not None and code < 0:
            return Ending(signal=-code, at=self._clock.wall())
        return Ending(exit_code=code, at=self._clock.wall())

    def _write_marks(self, directory: RunnerDirectory, marks: Marks) -> Marks | None:
        """None if the directory was deleted meanwhile; never brings it back.

        Marks that cannot be written, as on a full disk, hold all the same: a removal makes room."""
        with self._lock, suppress(OSError):
            try:
                directory.write_marks(marks)
            except FileNotFoundError:
                return None
        return marks


def _temporary_base() -> Path:
    """Below a directory where anyone may write: used only if it is ours alone."""
    base = Path(tempfile.gettempdir()) / f"runscaler-{os.getuid()}"
    try:
        private_directory(base)
        if base.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise NotPrivate("others may look into it", f"chmod 700 {base}")
    except NotPrivate as error:
        raise BackendError(
            f"{base} is not a directory of this user alone: {error}",
            fixes=("remove it", "set state-dir to a directory that only this user may write to"),
        ) from error
    return base
