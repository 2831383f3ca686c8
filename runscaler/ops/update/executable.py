"""Replaces the single-file executable, so that at every moment a working one is in its place.

The new one is made ready in a directory beside it, on the same file system, and has to answer `version`
there. Only then it takes the old one's place, in one step; until then nothing was changed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock
from runscaler.config.secret_variables import child_environment
from runscaler.errors import UpdateFailed
from runscaler.ops.update.archive import archive_name, checksum_of, extract_executable
from runscaler.ops.update.versions import parse_version
from runscaler.platform_names import platform_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.ops.update.release_host import ReleaseHost
    from runscaler.ops.update.versions import Release

CHECKSUMS = "checksums.txt"
STAGING = ".runner-update-"
STALE_SECONDS = 86400.0
"""The age after which what a killed update left is removed by the next."""
ANSWER_SECONDS = 60.0
MAX_ANSWER = 400


def replace_executable(
    path: Path, release: Release, host: ReleaseHost, progress: Callable[[str], None]
) -> None:
    """Replace the executable at `path` by the release's one for this platform.

    Raises `UpdateFailed` or `Unreachable`, and has changed nothing then.
    """
    name = archive_name(platform_name())
    with _as_update_failed(path), _staging(path.parent) as folder:
        expected = checksum_of(name, host.text(release.tag, CHECKSUMS))
        progress(f"downloading {name} of {release.tag}")
        packed, ready = folder / name, folder / path.name
        with packed.open("wb") as target:
            found = host.download(release.tag, name, target)
        if found != expected:
            raise UpdateFailed(
                f"{name} has the checksum {found}, but checksums.txt of {release.tag} says {expected}",
                fixes=("try again: the download may have been spoilt on its way",),
            )
        with packed.open("rb") as archive, ready.open("wb") as target:
            extract_executable(archive, target)
            os.fsync(target.fileno())
        _copy_owner_and_mode(path, ready)
        progress(f"asking {release.tag} for its version")
        require_answer(ready, release)
        ready.replace(path)


def require_answer(executable: Path, release: Release) -> None:
    """Raises `UpdateFailed` if the executable does not tell the release's version."""
    command = [str(executable), "version", "--json"]
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_SECONDS,
            check=False,
            env=child_environment(os.environ),
        )
    except subprocess.TimeoutExpired:
        raise UpdateFailed(f"{release.tag} does not answer `version` here; the old one stays") from None
    except OSError as error:
        raise UpdateFailed(
            f"{release.tag} cannot be run here: {error.strerror}; the old one stays"
        ) from error
    if ended.returncode != 0:
        said = ended.stderr.decode(errors="replace").strip()[-MAX_ANSWER:]
        raise UpdateFailed(
            f"{release.tag} does not work here: `version` ended with {ended.returncode}"
            f"{f' ({said})' if said else ''}; the old one stays"
        )
    if _version_in(ended.stdout) != release.version:
        raise UpdateFailed(
            f"what was downloaded as {release.tag} says that it is another version; the old one stays"
        )


def _version_in(answer: bytes) -> object:
    try:
        return parse_version(json.loads(answer)["version"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _copy_owner_and_mode(old: Path, new: Path) -> None:
    status = old.stat()
    if os.geteuid() == 0:
        os.chown(new, status.st_uid, status.st_gid)
    new.chmod(status.st_mode & 0o7777 | 0o100)


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    _remove_stale(folder)
    made = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _remove_stale(folder: Path) -> None:
    oldest = SystemClock().wall() - STALE_SECONDS
    for path in folder.glob(f"{STAGING}*"):
        if path.lstat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _as_update_failed(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise UpdateFailed(
            f"{path} cannot be replaced: no right to write to {path.parent}",
            fixes=("repeat it as the owner of that directory, with sudo if that is root",),
        ) from error
    except OSError as error:
        raise UpdateFailed(f"{path} cannot be replaced: {error.strerror or error}") from error
