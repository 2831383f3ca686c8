"""The docker command's contexts, which this program does not use, but names and looks at where that helps."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

META = Path("contexts") / "meta"
MOST_BYTES = 1024 * 1024
MOST_CONTEXTS = 50
DEFAULT = "default"


def current_context(environment: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """Its name and the URL of its engine (empty if that cannot be read); None for the default one."""
    variables = os.environ if environment is None else environment
    folder = Path(variables.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = variables.get("DOCKER_CONTEXT") or _table(folder / "config.json").get("currentContext")
    if not isinstance(name, str) or name in ("", DEFAULT) or not name.isprintable():
        return None
    digest = hashlib.sha256(name.encode()).hexdigest()
    return name, _engine(folder / META / digest)


def all_engines(folder: Path) -> Iterator[str]:
    """The URLs of the engines of all contexts in the docker command's folder, as far as they can be read."""
    for context in sorted((folder / META).glob("*"))[:MOST_CONTEXTS]:
        if url := _engine(context):
            yield url


def _engine(context: Path) -> str:
    """The URL in a context's folder; empty if it cannot be read."""
    value: object = _table(context / "meta.json")
    for key in ("Endpoints", "docker", "Host"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value.isprintable() else ""


def _table(path: Path) -> Mapping[str, object]:
    """The JSON object in a file; empty if there is none."""
    try:
        with path.open("rb") as file:
            found = parse_json(file.read(MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
