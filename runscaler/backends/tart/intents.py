"""The intent files in the state directory: one for each of our VMs, written before its clone.

They cover the time in which a VM exists without a record. They also name its TART_HOME, so that the next
daemon finds what a dead one left in a home that no scale set uses any more (docs/tart.md § 14).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from runscaler.backends.tart.record import VM_NAME, read_record
from runscaler.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.tart.record import VmRecord


class Intents:
    """Without a `directory`, as nothing is writable, only the records in the VMs' directories are left."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def write(self, record: VmRecord) -> None:
        """Durably. Raises OSError."""
        if self._directory is not None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            content = record.model_dump_json().encode()
            replace_file(self._directory / f"{record.name}.json", content, durable=True)

    def delete(self, name: str) -> None:
        """Harmless if there is none. Raises OSError."""
        if self._directory is not None:
            (self._directory / f"{name}.json").unlink(missing_ok=True)

    def read(self, name: str) -> VmRecord | None:
        return read_record(self._directory / f"{name}.json") if self._directory is not None else None

    def all(self) -> list[VmRecord]:
        if self._directory is None:
            return []
        names: list[str] = []
        with suppress(OSError):
            names = sorted(path.stem for path in self._directory.glob("*.json") if VM_NAME.match(path.stem))
        return [record for record in map(self.read, names) if record is not None]
