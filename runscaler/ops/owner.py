"""The identity that a daemon writes on every resource it makes (docs/behaviour.md § 2, owner)."""

from __future__ import annotations

import hashlib
import platform
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.files import replace_file
from runscaler.names import OWNER_ID, OwnerId, new_owner_id

if TYPE_CHECKING:
    from collections.abc import Sequence

OWNER = "owner"
MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def load_or_create_owner(directory: Path) -> OwnerId:
    """The owner of a state directory, made once. Raises OSError.

    A broken file is kept aside: its text may be the owner that old resources are marked with.
    """
    path = directory / OWNER
    found = read_owner(directory)
    if found is not None:
        return found
    owner = new_owner_id()
    if path.exists():
        aside = path.with_name(f"{OWNER}.broken-{owner[:8]}")
        path.rename(aside)
        logger.warning(
            "{} held no owner id: now {}. Resources of earlier runs count as another daemon's and are "
            "left alone: remove them by hand. What was there is kept in {}",
            path,
            owner,
            aside,
        )
    replace_file(path, f"{owner}\n".encode(), durable=True)
    return owner


def read_owner(directory: Path) -> OwnerId | None:
    """None where there is none that can be read."""
    try:
        text = (directory / OWNER).read_bytes().decode("ascii", "replace").strip()
    except OSError:
        return None
    return OwnerId(text) if OWNER_ID.match(text) else None


def owner_without_state_dir(machine: str, source: str) -> OwnerId:
    """The same for the same machine and source (`state_path.config_identity`), so that it adopts."""
    return OwnerId(hashlib.sha256(f"{machine}\n{source}".encode()).hexdigest()[:32])


def machine_id(files: Sequence[Path] = MACHINE_ID_FILES) -> str:
    """What tells this machine from others: systemd's id, else its name and network address."""
    for path in files:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text:
            return text
    return f"{platform.node()} {uuid.getnode():012x}"
