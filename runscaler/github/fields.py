"""Lenient reading of GitHub's JSON (docs/protocol.md § 4.1).

Keys may be in any case, null counts as absent, and the body may begin with a byte order mark.

What a decision depends on is read by `text`, `integer`, `required` and `elements`: a value of the wrong type
raises a `ValueError` that names the key. What only informs is read by `info_…`: a value of the wrong type
counts as absent, because it must not cost the message that it came in (fault F90).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TypeAlias

LARGEST_NUMBER = 2**63 - 1
"""Ids are 64-bit integers."""
JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


def parse_json(body: bytes | str) -> JsonValue:
    """The value in a body. Raises `ValueError` for anything wrong with it, excessive nesting included."""
    text = body.decode("utf-8-sig") if isinstance(body, bytes) else body.removeprefix("\ufeff")
    try:
        value: JsonValue = json.loads(text)
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error
    return value


class Fields:
    """One JSON object. A getter's default is for an absent or null value."""

    def __init__(self, value: JsonValue, what: str = "the reply") -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{what} is {json_type(value)}, not an object")
        self._values = {key.lower(): each for key, each in value.items()}

    def raw(self, key: str) -> JsonValue:
        return self._values.get(key.lower())

    def text(self, key: str, default: str = "") -> str:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise ValueError(f"{key} is {json_type(value)}, not a string")
        return value

    def integer(self, key: str, default: int = 0) -> int:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{key} is {json_type(value)}, not an integer")
        return value

    def id_number(self, key: str) -> int:
        """An id, which may be written as a string of digits; 0 if it is absent."""
        value = self.raw(key)
        number = 0 if value is None else whole_number(value)
        if number is None:
            raise ValueError(f"{key} is {json_type(value)}, not a 64-bit integer")
        return number

    def required(self, key: str) -> int:
        """An integer that must be there."""
        if self.raw(key) is None:
            raise ValueError(f"{key} is missing")
        return self.integer(key)

    def elements(self, key: str) -> list[JsonValue]:
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise ValueError(f"{key} is {json_type(value)}, not a list")
        return value

    def info_text(self, key: str) -> str:
        value = self.raw(key)
        return value if isinstance(value, str) else ""

    def info_number(self, key: str) -> int:
        """A number may also be written as a string of digits."""
        return whole_number(self.raw(key)) or 0

    def info_texts(self, key: str) -> tuple[str, ...]:
        """The strings in a list; a string by itself counts as a list of one."""
        value = self.raw(key)
        listed = [value] if isinstance(value, str) else value
        return tuple(each for each in listed if isinstance(each, str)) if isinstance(listed, list) else ()

    def info_time(self, key: str) -> float | None:
        """Seconds since the epoch; None for the year 1, which means "not yet", and for what is no time."""
        value = self.raw(key)
        return parse_time(value) if isinstance(value, str) else None


def whole_number(value: JsonValue) -> int | None:
    """A 64-bit integer, also one written as 7.0 or "7"; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        return whole_number(int(value))
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        return whole_number(int(value))
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) <= LARGEST_NUMBER else None


def parse_time(text: str) -> float | None:
    """RFC 3339 with up to 7 digits of a fraction, in UTC if no zone is given; None as in `info_time`."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.year == 1:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def json_type(value: JsonValue) -> str:
    """The JSON name of the value's type, with an article: "a list"."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    if value is None:
        return "null"
    return names.get(type(value), "an object")


def escaped(text: str, limit: int = 200) -> str:
    """Untrusted text made safe for one line: control characters are escaped, and it is cut to `limit`."""
    short = text if len(text) <= limit else text[:limit] + "…"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in short)
