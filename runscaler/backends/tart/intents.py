"""The intent files in the state directory: one for each of our VMs, written before its clone.

They cover the time in which a VM exists without a record. They also name its TART_HOME, so that the next
daemon finds what a dead one left in a home that no scale set uses any more (docs/tart.md § 14).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from runscaler.backends.tart.record import VM_NAME, read_record
from runscaler.files import replace_file
from runscaler.private_files import private_directory

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.tart.record import VmRecord
    from runscaler.names import OwnerId


class Intents:
    """Without a `state_dir`, as nothing is writable, only the records in the VMs' directories are left."""

    def __init__(self, state_dir: Path | None, owner: OwnerId) -> None:
        self._state_dir, self._names = state_dir, ("tart", owner)
        self._directory = None if state_dir is None else state_dir.joinpath(*self._names)

    def write(self, record: VmRecord) -> None:
        """Durably. Raises OSError."""
        if self._state_dir is not None:
            directory = private_directory(self._state_dir, *self._names)
            content = record.model_dump_json().encode()
            replace_file(directory / f"{record.name}.json", content, durable=True)

    def delete(self, name: str) -> None:
        """Harmless if there is none. Raises OSError."""
        if self._directory is not None:
            (self._directory / f"{name}.json").unlink(missing_ok=True)

    def read(self, name: str) -> VmRecord | None:
        """None also for the record of another VM under that name."""
        found = read_record(self._directory / f"{name}.json") if self._directory is not None else None
        return found if found is not None and found.name == name else None

    def all(self) -> list[VmRecord]:
        if self._directory is None:
            return []
        names: list[str] = []
        with suppress(OSError):
            names = sorted(path.stem for path in self._directory.glob("*.json") if VM_NAME.match(path.stem))
        return [record for record in map(self.read, names) if record is not None]
