"""Finds the line of each key and value in a TOML text.

`tomllib` reports no positions. It must have parsed the text before: as the text is then known to be valid,
the scanner only has to recognise strings, brackets and comments.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""Keys and, in lists, indices: ("scaleset", 1, "docker", "memory")."""

_BLANK = " \t\r\n"


class Positions:
    """Line numbers from 1. A path without a line of its own has the line of the nearest enclosing one."""

    def __init__(self, lines: Mapping[KeyPath, int]) -> None:
        self._lines = lines

    def line(self, path: KeyPath) -> int:
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1


def find_positions(text: str) -> Positions:
    return Positions(_Scanner(text).scan())


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(i + 1 for i, sign in enumerate(text) if sign == "\n")]
        self._lines: dict[KeyPath, int] = {}
        self._entries: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._peek("["):
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()
        return self._lines

    def _header(self) -> KeyPath:
        line = self._line()
        is_array = self._peek("[[")
        self._at += 2 if is_array else 1
        *outer, last = self._key()
        self._at += 2 if is_array else 1
        path = (*self._table(outer), last)
        if is_array:
            self._lines.setdefault(path, line)
            self._entries[path] = self._entries.get(path, 0) + 1
            path = (*path, self._entries[path] - 1)
        self._lines.setdefault(path, line)
        return path

    def _table(self, keys: list[str]) -> KeyPath:
        """The path of a table; in an array of tables the path of its last entry."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._entries:
                path = (*path, self._entries[path] - 1)
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for key in self._key():
            path = (*path, key)
            self._lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        """Read a dotted key, up to the character that ends it."""
        keys = []
        while True:
            self._skip_blank()
            keys.append(self._string() if self._text[self._at] in "\"'" else self._bare())
            self._skip_blank()
            if not self._peek("."):
                return keys
            self._at += 1

    def _bare(self) -> str:
        start = self._at
        while self._text[self._at].isalnum() or self._text[self._at] in "_-":
            self._at += 1
        return self._text[start : self._at]

    def _string(self) -> str:
        start = self._at
        quote = self._text[start]
        mark = quote * 3 if self._peek(quote * 3) else quote
        self._at += len(mark)
        while not self._peek(mark):
            self._at += 2 if quote == '"' and self._peek("\\") else 1
        self._at += len(mark)
        while len(mark) == 3 and self._peek(
            quote
        ):  # the text may end with up to two quotes before the closing three
            self._at += 1
        return str(tomllib.loads(f"x = {self._text[start : self._at]}")["x"])

    def _value(self, path: KeyPath) -> None:
        self._skip_blank()
        if self._peek("["):
            self._list(path)
        elif self._peek("{"):
            self._inline_table(path)
        elif self._text[self._at] in "\"'":
            self._string()
        else:
            while self._at < len(self._text) and self._text[self._at] not in ",]}#\n":
                self._at += 1

    def _list(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        self._skip_blank()
        while not self._peek("]"):
            self._lines.setdefault((*path, index), self._line())
            self._value((*path, index))
            index += 1
            self._skip_blank()
            self._at += self._peek(",")
            self._skip_blank()
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        self._skip_blank()
        while not self._peek("}"):
            self._pair(path)
            self._skip_blank()
            self._at += self._peek(",")
            self._skip_blank()
        self._at += 1

    def _skip_blank(self) -> None:
        """Skip white space, line breaks and comments."""
        while self._at < len(self._text):
            if self._peek("#"):
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif self._text[self._at] in _BLANK:
                self._at += 1
            else:
                return

    def _peek(self, sign: str) -> bool:
        return self._text.startswith(sign, self._at)

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)
