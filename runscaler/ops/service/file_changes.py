"""Changes several files so that all can be taken back, also by a later process."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from runscaler.files import replace_file
from runscaler.ops.service.spec import BACKUP_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runscaler.ops.service.layout import Layout


class FileChanges:
    """A file that is replaced is kept beside itself, under a name that no service manager reads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._folders: list[Path] = []
        self._created: list[Path] = []
        self._replaced: list[Path] = []

    def write(self, path: Path, content: bytes, mode: int) -> None:
        """Raises OSError."""
        self._folders += self._layout.make_folder(path.parent)
        if path.exists():
            backup = backup_of(path)
            replace_file(backup, path.read_bytes(), mode=path.stat().st_mode & 0o777, durable=True)
            self._layout.give(backup)
            self._replaced.append(path)
        else:
            self._created.append(path)
        replace_file(path, content, mode=mode, durable=True)
        self._layout.give(path)

    def take_back(self) -> None:
        """Raises OSError."""
        for path in self._created:
            path.unlink(missing_ok=True)
        for path in self._replaced:
            backup_of(path).replace(path)
        for folder in reversed(self._folders):
            with suppress(OSError):
                folder.rmdir()  # unless somebody else uses it
        self._folders, self._created, self._replaced = [], [], []

    def keep(self) -> None:
        """Raises OSError."""
        for path in self._replaced:
            backup_of(path).unlink(missing_ok=True)


def restore_backups(folders: Iterable[Path]) -> list[Path]:
    """Take back what a process that was killed had replaced; returns the restored files. Raises OSError."""
    restored = []
    for folder in folders:
        for backup in sorted(folder.glob(f"*{BACKUP_SUFFIX}")):
            path = backup.with_name(backup.name.removesuffix(BACKUP_SUFFIX))
            backup.replace(path)
            restored.append(path)
    return restored


def backup_of(path: Path) -> Path:
    return path.with_name(path.name + BACKUP_SUFFIX)
