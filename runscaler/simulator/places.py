"""What organisations and repositories are called, and what GitHub answers to their old names.

A scope keeps the name that it had first; after a rename only the API goes by the new one.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rename:
    """`redirects`: calls with the old name are redirected, as GitHub does for repositories. The old name of
    an organisation is unknown afterwards (docs/protocol.md § 3.3)."""

    old: str
    new: str
    redirects: bool


class NameGivenUp(Exception):
    """A name that is in use no more. `scope` is empty where GitHub redirects nobody."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class Places:
    def __init__(self) -> None:
        self._renames: list[Rename] = []
        self._numbers: dict[int, str] = {}

    def rename(self, old: str, new: str, *, redirects: bool | None = None) -> None:
        """Rename an organisation with all its repositories, or a repository, which may move to another owner
        with that. Raises `ValueError` for names of different kinds."""
        old, new = old.lower(), new.lower()
        if old.count("/") != new.count("/") or not old or not new:
            raise ValueError(f"{old} cannot be renamed to {new}: name two organisations or two repositories")
        self._renames.append(Rename(old, new, "/" in old if redirects is None else redirects))

    def scope(self, name: str) -> str:
        """The scope that a name means now. Raises `NameGivenUp`."""
        found, follows = name.lower(), None
        for rename in reversed(self._renames):
            if (back := _replaced(found, rename.new, rename.old)) is not None:
                found = back
            elif follows is None and _replaced(found, rename.old, rename.new) is not None:
                follows = rename.redirects or "/" in found
        if follows is not None:
            raise NameGivenUp(found if follows else "")
        return found

    def name(self, scope: str) -> str:
        """What a scope is called now."""
        for rename in self._renames:
            scope = _replaced(scope, rename.old, rename.new) or scope
        return scope

    def owner_of(self, scope: str) -> str:
        """The organisation or user of a scope, as the scope that it is itself."""
        return self.scope(self.name(scope).partition("/")[0])

    def number(self, scope: str) -> int:
        """The number that stands for a scope in redirects."""
        number = 1 + zlib.crc32(scope.encode())
        self._numbers[number] = scope
        return number

    def numbered(self, number: int) -> str | None:
        return self._numbers.get(number)


def _replaced(name: str, old: str, new: str) -> str | None:
    """The name with `old`, or that as its owner, replaced; None if it is another name."""
    if name == old:
        return new
    return new + name[len(old) :] if name.startswith(f"{old}/") else None
