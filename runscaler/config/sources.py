"""Finds and reads the configuration file (docs/behaviour.md § 4.1)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from runscaler.config import legacy
from runscaler.config.inputs import read_input
from runscaler.config.positions import Positions, find_positions
from runscaler.config.problems import Origin, Problems
from runscaler.config.schema import MISSPELT_SETS, SETS, top_level_keys
from runscaler.config.toml_mistakes import mistake_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.positions import KeyPath

_TOO_LARGE = "a whole number has more than 64 bits"
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Locations:
    """The default locations of the configuration file, in order."""

    local: Path
    user: Path
    system: Path
    legacy: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        home = Path(environ["HOME"]) if environ.get("HOME") else Path("~").expanduser()
        return cls(
            Path("config.toml"),
            home / ".config/runner/config.toml",
            Path("/etc/runner/config.toml"),
            Path("/etc/runscaler/config.toml"),
        )

    def __str__(self) -> str:
        return f"./{self.local.name}, {self.user}, {self.system}, {self.legacy}"


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a configuration file. `is_legacy` means that it is at the Go tool's location."""

    path: Path
    data: Mapping[str, object]
    positions: Positions
    is_legacy: bool = False
    mode: int = 0

    def origin(self, *path: str | int) -> Origin:
        return Origin(str(self.path), self.positions.line(path) if path else 0)


def find_document(locations: Locations, problems: Problems) -> Document | None:
    """Read the first existing file. A ./config.toml of another program is skipped with a warning."""
    for path in (locations.local, locations.user, locations.system, locations.legacy):
        if _exists(path) and not (path == locations.local and path.is_dir()):
            document = read_document(path, locations, problems)
            if path != locations.local or document is None or _is_ours(document.data):
                return document
            problems.warn(Origin(str(path)), "skipped, because it has none of runscaler's keys")
    return None


def read_document(path: Path, locations: Locations, problems: Problems) -> Document | None:
    """Read a file. If that fails, report the reason and return None."""
    origin = Origin(str(path))
    try:
        content, mode = read_input(path)
    except OSError as error:
        problems.error(origin, _reason(error), fixes=_fixes(error, path))
        return None
    try:
        text = content.decode("utf-8-sig")
        data = tomllib.loads(text)
        positions = find_positions(text.replace("\r\n", "\n"))
        too_large = _too_large((), data)
    except UnicodeDecodeError as error:
        problems.error(
            _origin_of(path, content, error.start), "this is not UTF-8 text", fixes=["save it as UTF-8"]
        )
        return None
    except tomllib.TOMLDecodeError as error:
        _malformed(path, content, str(error), problems)
        return None
    except ValueError:  # Python's own limit for the digits of a number
        problems.error(origin, f"this is not TOML: {_TOO_LARGE}")
        return None
    except RecursionError:
        problems.error(origin, "this is not a configuration: its values are nested too deeply")
        return None
    if too_large is not None:
        problems.error(Origin(str(path), positions.line(too_large)), f"this is not TOML: {_TOO_LARGE}")
        return None
    is_legacy = path.resolve() == locations.legacy.resolve()
    if is_legacy:
        problems.warn(
            origin,
            "this is the location of the Go tool's configuration",
            fixes=["runner migrate", f"move it to {locations.system}"],
        )
    return Document(path, data, positions, is_legacy, mode)


def _too_large(path: KeyPath, value: object) -> KeyPath | None:
    """The place of an integer that has more than the 64 bits of TOML's; `tomllib` takes any."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        found = (_too_large((*path, key), each) for key, each in parts)
        return next((one for one in found if one is not None), None)
    return path if isinstance(value, int) and not -(2**63) <= value < 2**63 else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True  # reading it will say so


def _is_ours(data: Mapping[str, object]) -> bool:
    known = {path[0] for path in top_level_keys()} | {SETS, *MISSPELT_SETS} | set(legacy.flat_keys())
    return any(name.lower() in known for name in data)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "this is a directory, not a file"
    return f"it cannot be read: {error.strerror}"


def _fixes(error: OSError, path: Path) -> list[str]:
    if isinstance(error, FileNotFoundError):
        return ["correct the path, or create the file with url, name and token"]
    if isinstance(error, IsADirectoryError):
        return [f"give the path of a file, such as {path / 'config.toml'}"]
    return ["run as the user who owns it"] if isinstance(error, PermissionError) else []


def _origin_of(path: Path, content: bytes, offset: int) -> Origin:
    """File, line and column of the byte at `offset`."""
    before = content[:offset]
    column = len(before) - (before.rfind(b"\n") + 1) + 1
    line = before.count(b"\n") + 1
    return Origin(f"{path}:{line}:{column}")


def _malformed(path: Path, content: bytes, text: str, problems: Problems) -> None:
    found = _AT.search(text)
    reason = text[: found.start()] if found else text
    if found and found[1]:
        origin = Origin(f"{path}:{found[1]}:{found[2]}")
        mistake = mistake_at(content.decode("utf-8-sig"), int(found[1]), int(found[2]), reason)
        if mistake is not None:
            fixes = [mistake.fix] if mistake.fix else []
            problems.error(origin, f"this is not TOML: {mistake.what}", fixes=fixes)
            return
    else:
        origin = _origin_of(path, content, len(content))
        reason = f"{reason} (unexpected end of file)"
    problems.error(origin, f"this is not TOML: {reason[:1].lower()}{reason[1:]}")
