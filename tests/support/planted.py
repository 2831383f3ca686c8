"""What must never be shown: the secrets that a daemon of a test is given, looked for in all that it shows."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

SECRET_KEYS = frozenset({"token", "password", "private-key"})
SECRET_VARIABLES = re.compile("TOKEN|SECRET|PASSWORD|PRIVATE_KEY")
REFERENCES = ("env:", "file:")
SHORTEST = 12
"""Shorter values may be words that are shown for another reason."""
JIT_CONFIGURATION = re.compile(rb"ey[A-Za-z0-9+/=]{300,}")
WITH_SECRETS = ("process", "runners")
"""Folders of a state directory in which runners have their own configuration."""


def secrets_in(config: object, env: Mapping[str, str]) -> set[str]:
    """Those of a configuration as plain data, and of environment variables."""
    found = {value for name, value in env.items() if SECRET_VARIABLES.search(name)}
    return {one for one in found | set(_of_tables(config)) if len(one) >= SHORTEST}


def _of_tables(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in SECRET_KEYS and isinstance(inner, str) and not inner.startswith(REFERENCES):
                yield inner
            yield from _of_tables(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _of_tables(inner)


def shown_by(secrets: set[str], texts: Mapping[str, bytes]) -> list[str]:
    """Which secret stands in which text; of a secret only its beginning."""
    found = [
        f"{secret[:8]}… in {where}"
        for where, text in texts.items()
        for secret in sorted(secrets)
        if secret.encode() in text
    ]
    return found + [
        f"a JIT configuration in {w}" for w, text in texts.items() if JIT_CONFIGURATION.search(text)
    ]


def files_of(folder: Path, without: Collection[str] = ()) -> Iterator[tuple[Path, bytes]]:
    """The files below a folder, but for those below folders with the names `without`. What goes meanwhile is
    left out."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in without]
        for path in (Path(parent, name) for name in names):
            with suppress(OSError):
                if path.is_file():
                    yield path, path.read_bytes()


def files_of_state(state_dir: Path) -> dict[str, bytes]:
    """What a state directory holds beside the folders of its runners."""
    return {str(path): content for path, content in files_of(state_dir, WITH_SECRETS)}
