"""The path of a configuration's state directory (docs/behaviour.md § 4.2)."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_state_path

from runscaler.ops.owner import OWNER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.model import Config

SYSTEM = Path("/var/lib/runscaler")


def config_identity(config: Config) -> str:
    """A text that identifies a configuration: its path, or its URLs and names if it has no file."""
    if config.path is not None:
        return str(config.path.absolute())
    return "\n".join(sorted(f"{settings.url} {settings.name}" for settings in config.scale_sets))


def candidates(
    config: Config, environ: Mapping[str, str] = os.environ, *, is_root: bool | None = None
) -> list[Path]:
    """The directories to try, in order; a single one if the configuration sets state-dir."""
    if config.state_dir is not None:
        return [config.state_dir.expanduser()]
    name = _name(config)
    paths = [_standard_parent(environ, os.geteuid() == 0 if is_root is None else is_root) / name]
    if config.path is not None:
        paths.append(config.path.absolute().parent / ".runscaler" / name)
    return paths


def existing_state_dir(config: Config, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The state directory that a daemon with this configuration has created, or None."""
    return next((path for path in candidates(config, environ) if (path / OWNER).exists()), None)


def _standard_parent(environ: Mapping[str, str], is_root: bool) -> Path:
    """The directory for all state directories. STATE_DIRECTORY may hold several, separated by colons."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    return SYSTEM if is_root else user_state_path("runscaler")


def _name(config: Config) -> str:
    """A readable name, unique for each configuration, so that several daemons can share a host."""
    named = config.path.stem if config.path else next((each.name for each in config.scale_sets), "")
    readable = re.sub(r"[^a-z0-9]+", "-", named.lower()).strip("-")[:20] or "runner"
    return f"{readable}-{hashlib.sha256(config_identity(config).encode()).hexdigest()[:8]}"
