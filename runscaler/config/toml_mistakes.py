"""Says what is wrong with a text that is not TOML, for the mistakes that people make most.

The messages of `tomllib` name only what its parser met. Values are never repeated: they may be secrets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_QUOTES = re.compile("[“”„‟‘’‚«»]")
_TABLE = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*")
_WORDS = {
    "True": "true",
    "TRUE": "true",
    "yes": "true",
    "on": "true",
    "False": "false",
    "FALSE": "false",
    "no": "false",
    "off": "false",
}
_NOTHING = frozenset({"None", "null", "nil"})


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, and how to mend it; `fix` may be empty."""

    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the parser gave up, from 0, and the message of `tomllib` without the position."""

    lines: list[str]
    number: int
    column: int
    reason: str

    @property
    def line(self) -> str:
        return self.lines[self.number] if self.number < len(self.lines) else ""

    @property
    def key(self) -> str:
        found = _KEY.match(self.line)
        return found[1] if found else ""

    @property
    def value(self) -> str:
        """What follows the equals sign, without a comment."""
        found = _KEY.match(self.line)
        return self.line[found.end() :].partition("#")[0].strip() if found else ""


def mistake_at(text: str, line: int, column: int, reason: str) -> Mistake | None:
    """The mistake at a line and column from 1, where `tomllib` reported `reason`; None for any other."""
    place = _Place(text.splitlines(), line - 1, column - 1, reason)
    return next((found for rule in _RULES if (found := rule(place)) is not None), None)


def _typographic_quotes(place: _Place) -> Mistake | None:
    if not _QUOTES.search(place.line):
        return None
    return Mistake("typographic quotation marks", 'replace them with plain ones: "')


def _bare_word(place: _Place) -> Mistake | None:
    value = place.value
    if place.reason != "Invalid value" or not value:
        return None
    if value in _WORDS:
        right = _WORDS[value]
        return Mistake(f"{value} is not a value in TOML", f"write {place.key} = {right}")
    if value in _NOTHING:
        return Mistake(f"{value} is not a value in TOML", f"leave {place.key} out")
    if value[0] in "[{":
        return Mistake("a text in the list or table has no quotation marks", 'write each like "…"')
    return _without_quotes(place) if re.match(r"[\w/~.$@%-]", value) else None


def _word_behind_number(place: _Place) -> Mistake | None:
    if not place.reason.startswith("Expected newline or end of document") or not place.value[:1].isdigit():
        return None
    return _without_quotes(place)


def _without_quotes(place: _Place) -> Mistake:
    return Mistake(f"the value of {place.key} has no quotation marks", f'write {place.key} = "…"')


def _repeated_table(place: _Place) -> Mistake | None:
    found = _TABLE.match(place.line)
    if found is None or not place.reason.startswith(("Cannot declare", "Cannot overwrite")):
        return None
    name = found[1]
    if name.lower() == "scaleset":
        return Mistake(
            "[scaleset] appears twice: write [[scaleset]]", "write [[scaleset]] above each of them"
        )
    first = next((number for number, line in enumerate(place.lines, 1) if _names(line, name)), 0)
    if first > place.number:
        return Mistake(f"{name} is a value above and a table here", "use one of them")
    return Mistake(f"[{name}] appears twice, first in line {first}", "put its keys below the first, once")


def _names(line: str, table: str) -> bool:
    found = _TABLE.match(line)
    return found is not None and found[1] == table


def _repeated_key(place: _Place) -> Mistake | None:
    if not place.reason.startswith("Cannot overwrite") or not place.key:
        return None
    return Mistake("this key is set twice", f"remove one {place.key}")


def _colon(place: _Place) -> Mistake | None:
    if not place.reason.startswith("Expected '='") or ":" not in place.line[place.column : place.column + 2]:
        return None
    return Mistake("a colon in place of an equals sign", "write KEY = VALUE")


def _backslash(place: _Place) -> Mistake | None:
    if not place.reason.startswith(("Unescaped", "Invalid hex")):
        return None
    return Mistake("a backslash in a text", "use single quotes, or write it twice")


def _open_quote(place: _Place) -> Mistake | None:
    if not place.reason.startswith(("Illegal character '\\n'", 'Expected "\'"')):
        return None
    return Mistake("a text has no closing quotation mark")


_RULES: tuple[Callable[[_Place], Mistake | None], ...] = (
    _typographic_quotes,
    _bare_word,
    _word_behind_number,
    _repeated_table,
    _repeated_key,
    _colon,
    _backslash,
    _open_quote,
)
