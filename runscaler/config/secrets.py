"""A secret that cannot be printed by accident, and the references env:NAME and file:PATH."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Mapping


@final
class Secret:
    """A text whose `str`, `repr` and `format` are masked. Use `reveal()` only to send it.

    `file` is where it was read from, None if it was written down elsewhere. Copies and pickles contain the
    value. Secrets compare by value.
    """

    __slots__ = ("_value", "file")
    MASK = "********"

    def __init__(self, value: str, file: Path | None = None) -> None:
        self._value = value
        self.file = file

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
    """The target of `env:NAME` or `file:PATH` does not exist. The message contains no secret."""


def is_reference(text: str) -> bool:
    """Whether a text refers to a secret instead of being one."""
    return text.startswith(("env:", "file:"))


def resolve(text: str, environ: Mapping[str, str], folder: Path) -> str:
    """The text that `env:NAME` or `file:PATH` refers to, or the text itself; white space is stripped.

    A relative path starts in `folder`, the configuration's. Raises `Unresolved`.
    """
    scheme, _, rest = text.partition(":")
    if scheme == "env":
        if not rest:
            raise Unresolved("env: names no variable")
        if not environ.get(rest):
            raise Unresolved(f"{text}: the variable {rest} is not set")
        return environ[rest].strip()
    if scheme == "file":
        return _content(text, folder, rest)
    return text.strip()


def file_of(text: str, folder: Path) -> Path | None:
    """The absolute path of the file that `file:PATH` refers to; None for any other text."""
    scheme, _, path = text.partition(":")
    return (folder / expanded(path)).absolute() if scheme == "file" else None


def expanded(path: str) -> Path:
    """The path with a leading ~ replaced. Raises ValueError if it cannot be a path on this host."""
    if "\0" in path:
        raise ValueError("it contains a NUL character")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"the home directory of {path.partition('/')[0]} is unknown") from error


def _content(text: str, folder: Path, path: str) -> str:
    try:
        content = (folder / expanded(path)).read_text("utf-8").strip()
    except OSError as error:
        raise Unresolved(f"{text}: the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unresolved(f"{text}: the file is not UTF-8 text") from error
    except ValueError as error:
        raise Unresolved(f"{text}: {error}") from error
    if not content:
        raise Unresolved(f"{text}: the file is empty")
    return content
