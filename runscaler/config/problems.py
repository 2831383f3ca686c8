"""Findings about the configuration, gathered so that all of them are told at once."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.config.secrets import Secret
from runscaler.errors import ConfigError, UsageError
from runscaler.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.config.schema import Leaf

_LONGEST = 60
_USER_INFO = re.compile(r"(^|//)[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Where:
    """Where a value was given: a file and its line, a flag, or a variable. `line` 0 is none."""

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source

    @property
    def is_flag(self) -> bool:
        return self.source.startswith("--")


@dataclass(frozen=True, slots=True)
class Given:
    """A value and where it came from."""

    value: object
    where: Where


class Problems:
    """What was found so far, told in the order of the file."""

    def __init__(self) -> None:
        self._found: dict[tuple[Where, Level, str], Finding] = {}

    def error(self, where: Where, text: str, *, fixes: Iterable[str] = (), scale_set: str = "") -> None:
        self._add(where, Level.ERROR, text, fixes, scale_set)

    def warn(self, where: Where, text: str, *, fixes: Iterable[str] = (), scale_set: str = "") -> None:
        self._add(where, Level.WARNING, text, fixes, scale_set)

    def _add(self, where: Where, level: Level, text: str, fixes: Iterable[str], scale_set: str) -> None:
        if where.is_flag:
            text = text.removeprefix(f"{where.source[2:]}: ")  # a flag names its key itself
        line = f"{where}: {text}" if where.source else text
        place = (where, level, text)
        if place in self._found and self._found[place].scale_set != scale_set:
            scale_set = ""  # an inherited value: it is not about one of them
        self._found[place] = Finding(level, line, tuple(fixes), scale_set)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(self._sorted(Level.WARNING))

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(self._sorted(Level.ERROR))

    @property
    def any_error(self) -> bool:
        return any(level is Level.ERROR for _, level, _ in self._found)

    def raise_errors(self) -> None:
        """Raises `ConfigError`, or `UsageError` where a flag is among what is wrong."""
        errors = self.errors
        if not errors:
            return
        flags = any(where.is_flag for where, level, _ in self._found if level is Level.ERROR)
        raise UsageError(errors) if flags else ConfigError(errors)

    def _sorted(self, wanted: Level) -> list[Finding]:
        found = [
            (where.line, finding) for (where, level, _), finding in self._found.items() if level is wanted
        ]
        return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]


def shown(value: object, leaf: Leaf | None = None) -> str:
    """A value as the user wrote it, on one line and not too long; secrets masked."""
    if isinstance(value, Secret) or (leaf is not None and leaf.key.secret and not _is_reference(value)):
        return Secret.MASK
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = json.dumps(mask_user_info(value), ensure_ascii=False)
    elif isinstance(value, dict):
        return "a table"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(shown(item, leaf) for item in value)}]"
    else:
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def mask_user_info(text: str) -> str:
    """A URL without the user name and password that it may hold."""
    return _USER_INFO.sub(rf"\1{Secret.MASK}@", text)


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("env:", "file:"))


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or empty."""
    return next(iter(difflib.get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)), "")
