"""The docker command's current context, which this program does not use but names where that helps."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 1024 * 1024
DEFAULT = "default"


def current_context(environment: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """Its name and the URL of its engine (empty if that cannot be read); None for the default one."""
    variables = os.environ if environment is None else environment
    folder = Path(variables.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = variables.get("DOCKER_CONTEXT") or _table(folder / "config.json").get("currentContext")
    if not isinstance(name, str) or name in ("", DEFAULT) or not name.isprintable():
        return None
    digest = hashlib.sha256(name.encode()).hexdigest()
    value: object = _table(folder / "contexts" / "meta" / digest / "meta.json")
    for key in ("Endpoints", "docker", "Host"):
        value = value.get(key) if isinstance(value, dict) else None
    return name, value if isinstance(value, str) and value.isprintable() else ""


def _table(path: Path) -> Mapping[str, object]:
    """The JSON object in a file; empty if there is none."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
