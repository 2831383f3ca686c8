"""Reading what others may have written: labels, files, the output of a guest, answers of an engine.

Each function is bounded in what it reads and keeps, and has one kind of error.
"""

from __future__ import annotations

import json

LARGEST_NUMBER = 2**63 - 1
"""Ids and times are 64-bit integers."""
MAX_DIGITS = 19


def whole_number(text: str | bytes, most: int = LARGEST_NUMBER) -> int | None:
    """The number that these ASCII digits write; None for anything else, and for one above `most`."""
    if not 0 < len(text) <= MAX_DIGITS or not text.isascii() or not text.isdigit():
        return None
    number = int(text)
    return number if number <= most else None


def is_number(value: object, most: int = LARGEST_NUMBER) -> bool:
    """Whether a value out of JSON is an integer from 0 to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def parse_json(content: str | bytes) -> object:
    """The value that a JSON text holds. Raises `ValueError`, whatever is wrong with it."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def in_one_line(text: object, most: int = 200) -> str:
    """A text of others for a message of ours: on one line, cut, without control characters."""
    words = " ".join(str(text)[: most + 1].split())
    shown = words if len(words) <= most else f"{words[:most]}…"
    return "".join(sign if sign.isprintable() else "�" for sign in shown)
