"""A secret that cannot be printed by accident, and where its text comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Mapping


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


class Unresolved(ValueError):
    """What `env:NAME` or `file:PATH` names is not there; the text says so without any secret."""


def is_reference(text: str) -> bool:
    """Says where the secret is, and so is none itself."""
    return text.startswith(("env:", "file:"))


def resolve(text: str, environ: Mapping[str, str], folder: Path) -> str:
    """The text that a value stands for: `env:NAME`, `file:PATH`, or itself; blanks around it go.

    A relative path starts in `folder`, the configuration's own. Raises `Unresolved`.
    """
    scheme, _, rest = text.partition(":")
    if scheme == "env":
        if not environ.get(rest):
            raise Unresolved(f"{text}: the variable {rest} is not set")
        return environ[rest].strip()
    if scheme == "file":
        return _content(text, folder / Path(rest).expanduser())
    return text.strip()


def _content(text: str, path: Path) -> str:
    try:
        content = path.read_text("utf-8").strip()
    except OSError as error:
        raise Unresolved(f"{text}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unresolved(f"{text}: holds no text") from error
    if not content:
        raise Unresolved(f"{text}: the file is empty")
    return content
