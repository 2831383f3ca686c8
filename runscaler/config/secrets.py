"""A secret that cannot be printed by accident, and the references env:NAME and file:PATH."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, final

from runscaler.config.inputs import read_input
from runscaler.config.secret_variables import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Mapping


@final
class Secret:
    """A text whose `str`, `repr` and `format` are masked. Use `reveal()` only to send it.

    `file` is the file and `variable` the environment variable that it was read from; None and empty if it was
    written down elsewhere. Copies and pickles contain the value. Secrets compare by value.
    """

    __slots__ = ("_value", "file", "variable")
    MASK = "********"

    def __init__(self, value: str, file: Path | None = None, variable: str = "") -> None:
        self._value = value
        self.file = file
        self.variable = variable

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


_SHELL_VARIABLE = re.compile(r"\$([A-Za-z_]\w*|\{\w+\})")
_MISWRITTEN = re.compile(r"\s*(env|file)\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)
_CREDENTIALS = re.compile(rf"\$(?:{CREDENTIALS}|\{{{CREDENTIALS}\}})/")
_TOKEN = re.compile(r"gh[a-z]_|github_pat_")


class Unresolved(ValueError):
    """The target of `env:NAME` or `file:PATH` does not exist. The message contains no secret."""


class Unset(Unresolved):
    """The variable of `env:NAME` is not set: perhaps it is where the daemon will run."""


class OutsideSystemd(Unset):
    """The path is in systemd's folder of credentials, and this process was given none."""


def is_reference(text: str) -> bool:
    """Whether a text refers to a secret instead of being one."""
    return text.startswith(("env:", "file:"))


def intended_reference(text: str) -> str:
    """The reference that a text such as "$NAME" or "ENV: NAME" was meant to be; empty if it is none."""
    if _SHELL_VARIABLE.fullmatch(text.strip()):
        return f"env:{text.strip().strip('${}')}"
    found = _MISWRITTEN.fullmatch(text)
    if found is None or not found[2]:
        return ""
    reference = f"{found[1].lower()}:{found[2].strip()}"
    return "" if reference == text else reference


def variable_of(text: str) -> str:
    """The name of the variable that `env:NAME` refers to; empty for any other text."""
    scheme, _, name = text.partition(":")
    return name if scheme == "env" else ""


def resolve(text: str, environ: Mapping[str, str], folder: Path) -> str:
    """The text that `env:NAME` or `file:PATH` refers to, or the text itself; white space is stripped.

    A relative path starts in `folder`, the configuration's. Raises `Unresolved`.
    """
    if meant := intended_reference(text):
        shown = "it" if _TOKEN.search(text) else text.strip()
        raise Unresolved(f"{shown} is not a reference: write {_without_token(meant)}")
    scheme, _, rest = text.partition(":")
    if scheme == "env":
        return _of_variable(rest, environ)
    if scheme == "file":
        return _content(_without_token(text), folder, _in_credentials(rest, environ))
    return text.strip()


def _of_variable(name: str, environ: Mapping[str, str]) -> str:
    if not name:
        raise Unresolved("env: names no variable")
    shown = _without_token(name)
    if name not in environ:
        raise Unset(f"env:{shown}: the variable {shown} is not set")
    value = environ[name].strip()
    if not value:
        raise Unresolved(f"env:{shown}: the variable {shown} is empty")
    return value


def _without_token(reference: str) -> str:
    """A reference for a message: a token that was written in place of a name is masked."""
    found = _TOKEN.search(reference)
    return reference if found is None else f"{reference[: found.start()]}{Secret.MASK}"


def file_of(text: str, environ: Mapping[str, str], folder: Path) -> Path | None:
    """The absolute path of the file that `file:PATH` refers to; None for any other text."""
    scheme, _, path = text.partition(":")
    return (folder / expanded(_in_credentials(path, environ))).absolute() if scheme == "file" else None


def _in_credentials(path: str, environ: Mapping[str, str]) -> str:
    """The path with systemd's folder of credentials in place of its variable; no other one is replaced."""
    found = _CREDENTIALS.match(path)
    if found is None:
        return path
    folder = environ.get(CREDENTIALS)
    if not folder:
        raise OutsideSystemd(f"file:{path}: {CREDENTIALS} is not set")
    return f"{folder}/{path[found.end() :]}"


def expanded(path: str) -> Path:
    """The path with a leading ~ replaced. Raises ValueError if it cannot be a path on this host."""
    if "\0" in path:
        raise ValueError("it contains a NUL character")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"the home directory of {path.partition('/')[0]} is unknown") from error


def _content(text: str, folder: Path, path: str) -> str:
    if not path:
        raise Unresolved("file: names no file")
    try:
        content = read_input(folder / expanded(path))[0].decode("utf-8-sig").strip()
    except OSError as error:
        raise Unresolved(f"{text}: the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unresolved(f"{text}: the file is not UTF-8 text") from error
    except ValueError as error:
        raise Unresolved(f"{text}: {error}") from error
    if not content:
        raise Unresolved(f"{text}: the file is empty")
    return content
