"""Where the daemon keeps its state (spec.md 4.2, state-dir). Nothing is created here."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_state_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.model import Config

SYSTEM = Path("/var/lib/runscaler")


def resolve_state_dir(
    config: Config, *, environ: Mapping[str, str], uid: int, user_state: Path | None = None
) -> tuple[Path, ...]:
    """Directories to try in this order: the first that can be made and written is the one.

    An explicit `state-dir` is the only one. `user_state` stands in for the user's own in tests.
    """
    if config.state_dir is not None:
        return (config.state_dir,)
    name = state_name(config)
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        first = Path(given)
    else:
        first = SYSTEM if uid == 0 else user_state or user_state_path("runscaler", appauthor=False)
    beside = () if config.path is None else (config.path.parent / f".{name}.state",)
    return (first / name, *beside)


def state_name(config: Config) -> str:
    """Tells the daemons of a host apart: from the file's path, else from urls and names."""
    if config.path is not None:
        return f"{_slug(config.path.stem)}-{_hash(str(config.path))}"
    keys = sorted(f"{settings.key.url} {settings.key.name}" for settings in config.scale_sets)
    first = config.scale_sets[0].name if config.scale_sets else ""
    return f"{_slug(first)}-{_hash(', '.join(keys))}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:32] or "runner"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
