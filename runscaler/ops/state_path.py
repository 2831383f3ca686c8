"""The path of a configuration's state directory (docs/behaviour.md § 4.2)."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from platformdirs import user_state_path

from runscaler.ops.owner import OWNER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runscaler.config.model import ScaleSetSettings

SYSTEM = Path("/var/lib/runscaler")


ADMIN_SOCKET = "admin.sock"


class Placed(Protocol):
    """What of a configuration tells where its state directory is; a `Config` is one."""

    @property
    def path(self) -> Path | None: ...

    @property
    def state_dir(self) -> Path | None: ...

    @property
    def scale_sets(self) -> Sequence[ScaleSetSettings]: ...


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The part of a configuration file that tells where its state directory is."""

    path: Path
    state_dir: Path | None
    scale_sets: tuple[ScaleSetSettings, ...] = ()


def config_identity(config: Placed) -> str:
    """A text that identifies a configuration: its path, or its URLs and names if it has no file."""
    if config.path is not None:
        return str(config.path.absolute())
    return "\n".join(sorted(f"{settings.url} {settings.name}" for settings in config.scale_sets))


def candidates(
    config: Placed, environ: Mapping[str, str] = os.environ, *, is_root: bool | None = None
) -> list[Path]:
    """The directories to try, in order; a single one if the configuration sets state-dir."""
    if config.state_dir is not None:
        return [config.state_dir.expanduser()]
    name = _name(config)
    paths = [_standard_parent(environ, os.geteuid() == 0 if is_root is None else is_root) / name]
    if config.path is not None:
        paths.append(config.path.absolute().parent / ".runscaler" / name)
    return paths


def existing_state_dir(config: Placed, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The state directory that a daemon with this configuration has created, or None."""
    return next((path for path in candidates(config, environ) if (path / OWNER).exists()), None)


def state_directories(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """All state directories at the default places, for this user."""
    parents = {_standard_parent(environ, is_root) for is_root in (True, os.geteuid() == 0)}
    found: list[Path] = []
    for parent in sorted(parents):
        with suppress(OSError):  # another user's, or none
            found += sorted(path.parent for path in parent.glob(f"*/{OWNER}"))
    return found


def _standard_parent(environ: Mapping[str, str], is_root: bool) -> Path:
    """The directory for all state directories. STATE_DIRECTORY may hold several, separated by colons."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    return SYSTEM if is_root else user_state_path("runscaler")


def _name(config: Placed) -> str:
    """A readable name, unique for each configuration, so that several daemons can share a host."""
    named = config.path.stem if config.path else next((each.name for each in config.scale_sets), "")
    readable = re.sub(r"[^a-z0-9]+", "-", named.lower()).strip("-")[:20] or "runner"
    return f"{readable}-{hashlib.sha256(config_identity(config).encode()).hexdigest()[:8]}"
