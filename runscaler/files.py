"""Atomic file writes: no reader sees a half-written file, not even after a crash."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

_HALF_WRITTEN = re.compile(r"\..+-[a-z0-9_]{8}")
"""The names that `replace_file` gives to its temporary files."""


def replace_file(path: Path, content: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Write `content` to a temporary file in the same directory and rename it to `path`.

    The file has its final `mode` from the start, so a secret is never readable by others. With `durable`
    the content also survives a power failure. Raises OSError and leaves no temporary file then.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def remove_half_written(directory: Path, levels: int) -> None:
    """Delete the temporary files of a `replace_file` that was killed, also in so many levels of directories.
    Links are not followed. Nobody else may be writing there. Errors are ignored: the next time will do."""
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and levels:
                remove_half_written(Path(entry.path), levels - 1)
            elif entry.is_file(follow_symlinks=False) and _HALF_WRITTEN.fullmatch(entry.name):
                with suppress(OSError):
                    Path(entry.path).unlink()
