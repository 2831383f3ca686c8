"""One line in the daemon's log when there is a newer release (`update-check`)."""

from __future__ import annotations

from loguru import logger

from runscaler.errors import RunscalerError
from runscaler.ops.update.installation import this_installation
from runscaler.ops.update.release_host import ReleaseHost, release_address
from runscaler.ops.update.versions import newest, parse_version


def announce_newer_release(version: str) -> bool | None:
    """Log a warning if there is a newer one than `version`, this one. Blocks for a minute at most.

    Returns whether there is; None if the host cannot be asked, which is no trouble of the daemon: that is not
    said.
    """
    try:
        line = newer_release(version)
    except (RunscalerError, OSError) as error:
        logger.debug("no look for a newer release: {}", error)
        return None
    if line:
        logger.warning("{}", line)
    return bool(line)


def newer_release(version: str) -> str:
    """The warning, empty if `version` is the newest release. Raises `UpdateFailed` or `Unreachable`."""
    current = parse_version(version)
    with ReleaseHost(release_address()) as host:
        release = newest(host.releases(), current)
    if release is None or release.version <= current:
        return ""
    commands = " && ".join(this_installation().commands())
    found = f"release {release.version} is newer than this, {current}"
    return f"{found}: {commands} (update-check = false stops this)"
