"""Collects the problems of a configuration, so that all of them are reported together."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.config.secrets import Secret, is_reference
from runscaler.errors import ConfigError, UsageError
from runscaler.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.config.schema import KeySpec

_LONGEST = 60
_USER_INFO = re.compile(r"(?<!/)//(?!/)[^\n]*@|^[^/@:\s]+:(?!//)[^\n]*@(?!sha\d+:)|^[^/@\s]+@(?!sha\d+:)")
"""A password may contain "@", "/" and spaces: everything up to the last "@" is masked. What begins with "@",
as the cron expression "@daily", and an image pinned by its digest have no user name."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: a file and a line, a flag, or an environment variable. Line 0 means none."""

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source

    @property
    def is_flag(self) -> bool:
        return self.source.startswith("--")


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """A value and where it comes from."""

    value: object
    origin: Origin
    entries: tuple[Origin, ...] = ()
    """Of a list of tables: where each of them begins."""

    def origin_of(self, entry: int) -> Origin:
        """Where an entry of it begins, counted from 0; the key itself where that is not known."""
        return self.entries[entry] if entry < len(self.entries) else self.origin


class Problems:
    """The problems found so far; reported in the order of their lines."""

    def __init__(self) -> None:
        self._found: dict[tuple[Origin, Level, str], Finding] = {}

    def error(self, origin: Origin, text: str, *, fixes: Iterable[str] = (), scale_set: str = "") -> None:
        self._add(origin, Level.ERROR, text, fixes, scale_set)

    def warn(self, origin: Origin, text: str, *, fixes: Iterable[str] = (), scale_set: str = "") -> None:
        self._add(origin, Level.WARNING, text, fixes, scale_set)

    def _add(self, origin: Origin, level: Level, text: str, fixes: Iterable[str], scale_set: str) -> None:
        if origin.is_flag:
            text = text.removeprefix(f"{origin.source[2:]}: ")  # the flag's name says which key it is
        line = f"{origin}: {text}" if origin.source else text
        place = (origin, level, text)
        if place in self._found and self._found[place].scale_set != scale_set:
            scale_set = ""  # an inherited value: not a problem of one scale set
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
        """Raise `ConfigError` if there are errors, `UsageError` if one of them is about a flag."""
        errors = self.errors
        if not errors:
            return
        flags = any(origin.is_flag for origin, level, _ in self._found if level is Level.ERROR)
        raise UsageError(errors) if flags else ConfigError(errors)

    def _sorted(self, wanted: Level) -> list[Finding]:
        found = [
            (origin.line, finding) for (origin, level, _), finding in self._found.items() if level is wanted
        ]
        return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]


def shown(value: object, spec: KeySpec | None = None) -> str:
    """A value as in TOML, on one line and shortened; secrets are masked."""
    if isinstance(value, Secret) or (spec is not None and spec.key.secret and not _refers(value)):
        return Secret.MASK
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = json.dumps(mask_user_info(value), ensure_ascii=False)
    elif isinstance(value, dict):
        return "a table"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(shown(item, spec) for item in value)}]"
    else:
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def mask_user_info(text: str) -> str:
    """A URL with its user name and password, if any, replaced by a mask."""
    return _USER_INFO.sub(
        lambda found: f"{'//' if found[0].startswith('//') else ''}{Secret.MASK}@", text, count=1
    )


def mask_password(url: str) -> str:
    """A URL whose user name and password are masked if it has a password; "ssh://me@host" stays."""
    user_info, at, _ = url.partition("://")[2].rpartition("@")
    return mask_user_info(url) if at and ":" in user_info else url


def _refers(value: object) -> bool:
    return isinstance(value, str) and is_reference(value)


def invalid(value: object, expected: str, spec: KeySpec | None = None, *, reason: str = "") -> str:
    """The message about an invalid value: `expected` describes valid ones, `reason` is optional."""
    because = f" ({reason})" if reason else ""
    return f"{shown(value, spec)} is not valid{because}: expected {expected}"


def nearest(word: str, known: Iterable[str]) -> str:
    """The most similar known word; empty if none is similar."""
    return next(iter(difflib.get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)), "")
