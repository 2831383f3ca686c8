"""Reads the engine's answers, which docker-py passes on in whatever shape they have.

What is not as the API's reference says raises `Nonsense`; `Engine.call` makes a `BackendError` of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from runscaler.untrusted import in_one_line, is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_ID = 256


class Nonsense(ValueError):
    """An answer of another shape than that of an engine."""


SHAPE_ERRORS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What docker-py and its readers raise for an answer of another shape; `Nonsense` is one of them."""


def is_table(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def table(value: object, what: str) -> Mapping[str, object]:
    if not is_table(value):
        raise Nonsense(f"{what} is {shown(value)}")
    return value


def tables(value: object, what: str) -> list[Mapping[str, object]]:
    if not isinstance(value, list):
        raise Nonsense(f"{what} is {shown(value)}")
    return [table(one, f"an entry of {what}") for one in value]


def identifier(value: object, what: str) -> str:
    """An id, which becomes a part of the paths of other calls."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID or not _is_plain(value):
        raise Nonsense(f"{what} is {shown(value)}")
    return value


def boolean(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise Nonsense(f"{what} is {shown(value)}")
    return value


def seconds(value: object) -> float:
    """A time in whole seconds; 0 for what is none, as it only informs."""
    return float(value) if isinstance(value, int) and is_number(value) else 0.0


def nanoseconds(value: object) -> int | None:
    """A time in nanoseconds; None for what is none."""
    return value if isinstance(value, int) and is_number(value) and value > 0 else None


def exit_code(value: object) -> int | None:
    """None for what is none: then it is not known."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**32 else None


def strings(value: object, what: str) -> list[str]:
    """All texts of a list of lists of texts; null counts as an empty one."""
    rows = [] if value is None else value
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise Nonsense(f"{what} is {shown(value)}")
    return [str(field) for row in rows for field in row]


def shown(value: object) -> str:
    return "missing" if value is None else in_one_line(repr(value), 60)


def _is_plain(text: str) -> bool:
    return text.isascii() and all(sign.isalnum() or sign in "_.-" for sign in text)
