"""The files of a release (docs/behaviour.md § 14.1)."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("runner", "runscaler")
"""The same executable twice: an old `runscaler update` looks for the second."""
CHECKSUMS = "checksums.txt"
LEVEL = 6
"""Of compression: the highest takes twice as long and saves one part in two hundred."""


def write_archives(executable: Path, target: str, folder: Path) -> list[Path]:
    """`NAME-linux-amd64.tar.gz` with the one member NAME; the same executable makes the same archives."""
    written = []
    for name in NAMES:
        path = folder / f"{name}-{target}.tar.gz"
        with path.open("wb") as out, gzip.GzipFile("", "wb", LEVEL, out, 0) as packed:
            _write_tar(packed, name, executable.read_bytes())
        written.append(path)
    return written


def write_checksums(folder: Path) -> Path:
    """A line for each archive in the folder, also of other platforms."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.glob("*.tar.gz"))
    ]
    target = folder / CHECKSUMS
    target.write_text("".join(lines), encoding="ascii")
    return target


def _write_tar(out: gzip.GzipFile, name: str, content: bytes) -> None:
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o755
        archive.addfile(member, io.BytesIO(content))
