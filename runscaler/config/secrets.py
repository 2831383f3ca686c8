"""A secret that cannot be printed by accident."""

from __future__ import annotations

from typing import final


@final
class Secret:
    """Text whose `str`, `repr` and `format` are masked; `reveal()` is for the wire only.

    Copies and pickles carry the value; comparison is by value, so that a changed one is noticed.
    """

    __slots__ = ("_value",)
    MASK = "********"

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __str__(self) -> str:
        return self.MASK

    def __repr__(self) -> str:
        return f"Secret({self.MASK!r})"

    def __format__(self, spec: str) -> str:
        return format(self.MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)
