"""The executable in a release's archive, which is not trusted beyond its checksum.

Only one regular file under the expected name is taken, by its content alone: no path, link, owner or mode.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from typing import IO, TYPE_CHECKING

from runscaler.errors import UpdateFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

MEMBER = "runner"
MAX_EXECUTABLE = 256 * 1024 * 1024
CHUNK = 1024 * 1024
_HEADERS = 64 * 1024
"""Bytes of an archive that are not the executable."""


class _Bounded:
    """Reads on, but not for ever: a small archive can hold endless zeros."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream, self._left = stream, limit

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise UpdateFailed(f"the archive holds more than {MAX_EXECUTABLE // 2**20} MiB")
        return data


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether its content is what lies in the archive: a sparse file can be of any size."""
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()


def archive_name(platform: str) -> str:
    """The archive for a platform such as linux-amd64 (docs/behaviour.md § 14.1)."""
    return f"{MEMBER}-{platform}.tar.gz"


def extract_executable(archive: IO[bytes], target: IO[bytes]) -> None:
    """Write the executable in the archive to `target`. Raises `UpdateFailed`, OSError."""
    try:
        with gzip.GzipFile(fileobj=archive) as unpacked:
            _extract(_Bounded(unpacked, MAX_EXECUTABLE + _HEADERS), target)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UpdateFailed(f"the archive is damaged: {error}") from error


def checksum_of(name: str, checksums: str) -> str:
    """The SHA-256 of a file in checksums.txt, whose lines are `SHA256  NAME`. Raises `UpdateFailed`."""
    found = _checksums(checksums).get(name, "")
    if len(found) != 64 or not set(found) <= set("0123456789abcdef"):
        raise UpdateFailed(f"the release has no checksum for {name}, so perhaps nothing for this platform")
    return found


def _checksums(text: str) -> Mapping[str, str]:
    rows = (line.split() for line in text.splitlines())
    return {row[1].removeprefix("*"): row[0].lower() for row in rows if len(row) == 2}


def _extract(stream: _Bounded, target: IO[bytes]) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # all it needs is `read`
        for number, member in enumerate(archive):
            if number > 0 or member.name != MEMBER or not _is_plain(member):
                raise UpdateFailed(f"the archive holds something else than the file {MEMBER}")
            content = archive.extractfile(member)
            assert content is not None
            while chunk := content.read(CHUNK):
                target.write(chunk)
    if target.tell() == 0:
        raise UpdateFailed(f"the archive does not hold the file {MEMBER}")
