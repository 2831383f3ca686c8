"""The owner id that a daemon writes on every resource it creates (docs/behaviour.md § 2)."""

from __future__ import annotations

import hashlib
import os
import platform
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.files import replace_file
from runscaler.names import OWNER_ID, OwnerId, new_owner_id
from runscaler.private_files import read_private

if TYPE_CHECKING:
    from collections.abc import Sequence

OWNER = "owner"
MOST_BYTES = 4096
MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def load_or_create_owner(directory: Path) -> OwnerId:
    """The owner id of a state directory; created on first use. Raises OSError.

    An invalid file is renamed and kept: its text may be the owner id on existing resources.
    """
    path = directory / OWNER
    found = read_owner(directory)
    if found is not None:
        return found
    owner = new_owner_id()
    if os.path.lexists(path):
        aside = path.with_name(f"{OWNER}.broken-{owner[:8]}")
        path.rename(aside)
        logger.warning(
            "{} held no valid owner id; the new one is {}. Resources of earlier runs now count as another "
            "daemon's and are not touched: `runner doctor` lists them. The old file is kept as {}",
            path,
            owner,
            aside,
        )
    replace_file(path, f"{owner}\n".encode(), durable=True)
    return owner


def read_owner(directory: Path) -> OwnerId | None:
    """The owner id of a state directory; None if there is no valid one."""
    try:
        text = read_private(directory / OWNER, MOST_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return None
    return OwnerId(text) if OWNER_ID.match(text) else None


def owner_without_state_dir(machine: str, identity: str) -> OwnerId:
    """An owner id derived from machine and configuration (`state_path.config_identity`).

    It is the same at every start, so that the daemon adopts its own runners.
    """
    return OwnerId(hashlib.sha256(f"{machine}\n{identity}".encode()).hexdigest()[:32])


def machine_id(files: Sequence[Path] = MACHINE_ID_FILES) -> str:
    """A unique id of this machine: systemd's machine id, else host name and network address."""
    for path in files:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text:
            return text
    return f"{platform.node()} {uuid.getnode():012x}"
