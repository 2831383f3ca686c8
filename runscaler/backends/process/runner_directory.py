"""A runner's directory: `marks.json` (whose it is, its process), `output.log`, and `work` to run in. With a
`ca` also `ca.pem` and `ca-bundle.pem`.

The marks are written before the process starts and completed afterwards, each time atomically: a daemon
killed between any two steps leaves a directory that the next one understands. They are deleted last, so
that a removal that failed half-way is listed and repeated.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from runscaler.backends.base import Ending, Resource, ResourceState
from runscaler.backends.marks import IdMark, NameMark, PidMark, RunnerMark, SlotMark, TimeMark, UrlMark
from runscaler.files import replace_file
from runscaler.names import OwnerId, RunnerName, ScaleSetKey, SlotNumber
from runscaler.private_files import NotPrivate, TooLarge, read_private

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKS = "marks.json"
MOST_BYTES = 64 * 1024


class Marks(BaseModel):
    """The content of `marks.json`. `pid` is 0 until the runner's process was started."""

    model_config = ConfigDict(frozen=True)

    owner: NameMark
    url: UrlMark
    group: NameMark
    scale_set: NameMark
    slot: SlotMark
    runner: RunnerMark
    runner_id: IdMark = 0
    created_at: TimeMark
    pid: PidMark = 0
    process_created: TimeMark = 0.0
    ending: Ending | None = None

    def with_process(self, pid: int, created: float) -> Marks:
        return self.model_copy(update={"pid": pid, "process_created": created})

    def with_ending(self, ending: Ending) -> Marks:
        return self.model_copy(update={"ending": ending})

    def resource(self) -> Resource:
        return Resource(
            id=self.runner,
            owner=OwnerId(self.owner),
            key=ScaleSetKey(self.url, self.group, self.scale_set),
            slot=SlotNumber(self.slot),
            runner=RunnerName(self.runner),
            runner_id=self.runner_id,
            created_at=self.created_at,
            state=ResourceState.ENDED if self.ending else ResourceState.RUNNING,
            ending=self.ending,
        )


class RunnerDirectory:
    """One runner's directory, which need not exist. Raises OSError, which the backend translates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        self.output = path / "output.log"
        self.certificates = path / "ca.pem"
        self.bundle = path / "ca-bundle.pem"

    @property
    def id(self) -> str:
        return self.path.name

    def create(self, marks: Marks) -> None:
        """Raises FileExistsError if it exists already."""
        self.path.mkdir(mode=0o700)
        self.write_marks(marks)

    def write_certificates(self, own: bytes, bundle: bytes) -> None:
        self.certificates.write_bytes(own)
        self.bundle.write_bytes(bundle)

    def write_marks(self, marks: Marks) -> None:
        """Replace them atomically."""
        replace_file(self.path / MARKS, marks.model_dump_json().encode())

    def marks(self) -> Marks | None:
        """None if there are none that can be read; `has_marks` tells whether there are any."""
        try:
            marks = Marks.model_validate_json(read_private(self.path / MARKS, MOST_BYTES))
        except (FileNotFoundError, NotPrivate, TooLarge, ValidationError):
            return None
        return marks if marks.runner == self.id else None

    @property
    def has_marks(self) -> bool:
        """Without any, no process was ever started here. An empty file is what a lost disk cache leaves."""
        try:
            return (self.path / MARKS).lstat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return False

    def tail(self, count: int) -> bytes:
        """The last bytes of the output; reads no more than that."""
        if count <= 0 or not self.output.is_file() or self.output.is_symlink():
            return b""
        with self.output.open("rb") as file:
            file.seek(max(0, self.output.stat().st_size - count))
            return file.read(count)

    def delete_content(self) -> None:
        """All but the marks; harmless if it is gone already."""
        for entry in _entries(self.path):
            if entry.name != MARKS:
                _delete(entry)

    def delete(self) -> None:
        """After `delete_content`; harmless if it is gone already."""
        _delete(self.path)


def _entries(directory: Path) -> Iterator[Path]:
    try:
        yield from sorted(directory.iterdir())
    except FileNotFoundError:
        return


def _delete(path: Path) -> None:
    try:
        _remove(path)
    except PermissionError:
        _make_writable(path)
        _remove(path)


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return


def _make_writable(tree: Path) -> None:
    """Jobs leave read-only directories, which even their owner cannot empty (Go's module cache does)."""
    tree.chmod(0o700)
    for directory, names, _ in os.walk(tree):
        for name in names:
            path = Path(directory, name)
            if not path.is_symlink():
                path.chmod(0o700)
