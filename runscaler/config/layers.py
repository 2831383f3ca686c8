"""Turns a file into flat layers of values: the top level and each scale set.

Reports unknown keys, and accepts what the Go tool accepted (`legacy`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runscaler.config import legacy
from runscaler.config.problems import ConfigValue, Problems, invalid, nearest, shown
from runscaler.config.schema import (
    MISSPELT_SETS,
    SETS,
    KeySpec,
    Kind,
    TomlPath,
    global_keys,
    scale_set_keys,
    top_level_keys,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runscaler.config.positions import KeyPath
    from runscaler.config.problems import Origin
    from runscaler.config.sources import Document

Layer = dict[TomlPath, ConfigValue]
"""TOML path → value. Each key of an open table such as [docker.env] has a path of its own."""

_REQUIRED = (("url",), ("name",), ("token",))
_EMPTY_IS_ABSENT = frozenset({("docker", "socket"), ("runner-group",), ("runner-image",), ("backend",)})


@dataclass(slots=True)
class Layers:
    """The top level and, in multi mode, the scale sets. `origins` are the first lines of the scale sets."""

    top: Layer = field(default_factory=dict)
    sets: list[Layer] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    is_multi: bool = False


def read_layers(document: Document, problems: Problems) -> Layers:
    layers = Layers()
    data = dict(document.data)
    name = _name_of_sets(data)
    entries = _entries(document, name, data.pop(name, []), problems)
    layers.is_multi = bool(entries)
    layers.top = _Table(document, problems, (), top_level_keys()).read(data)
    for path, entry in entries:
        layers.origins.append(document.origin(*path))
        layers.sets.append(_Table(document, problems, path, scale_set_keys()).read(entry))
    if layers.is_multi:
        _drop_identity(layers.top, problems)
    return layers


def _name_of_sets(data: Mapping[str, object]) -> str:
    """How the file spells [[scaleset]]; empty if it has none."""
    right = (name for name in data if name.lower() == SETS)
    return next(right, "") or next((name for name in data if name.lower() in MISSPELT_SETS), "")


def _entries(
    document: Document, name: str, value: object, problems: Problems
) -> list[tuple[KeyPath, Mapping[str, object]]]:
    origin = document.origin(name)
    if name.lower() in MISSPELT_SETS:
        problems.error(origin, f"[[{name}]] is not a table of runscaler", fixes=[f"write [[{SETS}]]"])
    elif name and name != SETS:
        problems.warn(origin, f"[[{name}]] is read as [[{SETS}]]")
    if isinstance(value, dict):
        problems.warn(origin, f"[{SETS}] is read as one scale set", fixes=[f"write [[{SETS}]]"])
        return [((name,), value)]
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return [((name, index), entry) for index, entry in enumerate(value)]
    problems.error(origin, f"{SETS}: {invalid(value, f'tables that begin with [[{SETS}]]')}")
    return []


def _drop_identity(top: Layer, problems: Problems) -> None:
    """Identity keys at the top have no meaning if there are [[scaleset]] tables."""
    for path in [path for path in top if path[0] in legacy.IGNORED_BESIDE_SETS]:
        given = top.pop(path)
        text = f"{path[0]} is ignored at the top of a file with [[{SETS}]]: scale sets do not inherit it"
        problems.warn(given.origin, text, fixes=[f"move it into a [[{SETS}]], or remove it"])


class _Table:
    """Reads the top level or one scale set; `start` is its path in the file."""

    def __init__(
        self, document: Document, problems: Problems, start: KeyPath, specs: Mapping[TomlPath, KeySpec]
    ) -> None:
        self._document = document
        self._problems = problems
        self._start = start
        self._specs = specs
        self._layer: Layer = {}

    def read(self, data: Mapping[str, object]) -> Layer:
        self._read_table((), self._start, data)
        return self._layer

    def _read_table(self, table: TomlPath, position: KeyPath, data: Mapping[str, object]) -> None:
        known = self._names_in(table)
        for written, value in data.items():
            origin = self._document.origin(*position, written)
            name = written if written in known else written.lower()
            path = (*table, name)
            if name not in known:
                self._unknown(table, written, origin)
                self._take_misplaced(table, name, ConfigValue(value, origin))
                continue
            if name != written:
                self._problems.warn(origin, f"{written} is read as {name}", fixes=[f"write {name}"])
            if path in self._specs:
                self._read_key(self._specs[path], value, (*position, written))
            elif isinstance(value, dict):
                self._read_table(path, (*position, written), value)
            else:
                self._problems.error(origin, f"[{'.'.join(path)}]: {invalid(value, 'a table')}")

    def _names_in(self, table: TomlPath) -> frozenset[str]:
        depth = len(table)
        return frozenset(path[depth] for path in self._specs if path[:depth] == table and len(path) > depth)

    def _read_key(self, spec: KeySpec, value: object, position: KeyPath) -> None:
        if spec.kind is Kind.TABLE and isinstance(value, dict):
            self._read_open(spec, value, position)
            return
        origin = self._document.origin(*position)
        value = self._lenient(spec, value, origin)
        if self._is_absent(spec, value):
            return
        if spec.path in self._layer:
            self._problems.error(origin, f"{spec.label} is set twice, with different capitalisation")
        tables = range(len(value)) if spec.kind is Kind.TABLES and isinstance(value, list) else ()
        entries = tuple(self._document.origin(*position, number) for number in tables)
        self._layer[spec.path] = ConfigValue(value, origin, entries)

    def _read_open(self, spec: KeySpec, value: Mapping[str, object], position: KeyPath) -> None:
        """Read a table whose keys the user chooses; each of them is inherited separately."""
        for name, entry in value.items():
            path, origin = (*spec.path, name), self._document.origin(*position, name)
            if spec.entry is None:
                self._layer[path] = ConfigValue(entry, origin)
            elif isinstance(entry, dict):
                self._read_entry(spec.entry, path, entry, (*position, name))
            else:
                text = f"{spec.label}: {invalid(name, spec.key.accepts)}"
                self._problems.error(origin, text)

    def _read_entry(
        self, keys: Mapping[str, KeySpec], path: TomlPath, entry: Mapping[str, object], position: KeyPath
    ) -> None:
        for name, value in entry.items():
            origin = self._document.origin(*position, name)
            if name in keys:
                self._layer[(*path, name)] = ConfigValue(value, origin)
            else:
                self._problems.error(origin, f"unknown key {name} in {'.'.join(path)}{_guess(name, keys)}")

    def _lenient(self, spec: KeySpec, value: object, origin: Origin) -> object:
        """Convert a string where a number, boolean or list is expected, as the Go tool did."""
        if not isinstance(value, str) or (spec.kind is Kind.STRINGS and spec.path != ("labels",)):
            return value
        converted = legacy.from_text(spec, value)
        if not isinstance(converted, str):
            self._problems.warn(
                origin, f"{spec.label}: the string {shown(value)} is read as {shown(converted)}"
            )
        return converted

    def _is_absent(self, spec: KeySpec, value: object) -> bool:
        if spec.path == ("max-runners",):
            return bool(self._start) and value == 0 and not isinstance(value, bool)
        return spec.path in _EMPTY_IS_ABSENT and value == ""

    def _unknown(self, table: TomlPath, written: str, origin: Origin) -> None:
        name = written.lower()
        present = legacy.present_path(table, name)
        if present is not None:
            text = f"{_label(table, written)} is a key of an early version; it is now {_label_of(present)}"
        elif name in legacy.MISPLACED and table in legacy.MISPLACED_IN:
            text = f"{name} is ignored here: it belongs at the top of the file"
            self._problems.warn(origin, text)
            return
        else:
            text = f"unknown {_label(table, written)}{self._advice(table, name)}"
        if self._document.is_legacy:
            self._problems.warn(origin, f"{text}; ignored, as by the Go tool")
        else:
            self._problems.error(origin, text)

    def _take_misplaced(self, table: TomlPath, name: str, given: ConfigValue) -> None:
        """A url, name or token below a [table] is an error, but is not missing too."""
        if table and (name,) in _REQUIRED and (name,) in self._specs:
            self._layer.setdefault((name,), given)

    def _advice(self, table: TomlPath, name: str) -> str:
        """What the user probably meant: a similar key here, or the same key in another table."""
        if table and (name,) in _REQUIRED and (name,) in self._specs:
            above = f"[{'.'.join(table)}]"
            return f": what stands below {above} belongs to it; move {name} above {above}"
        if (*table, name) not in self._specs and (name,) in global_keys():
            return f": {name} belongs at the top of the file, above the first [table]"
        if guess := _guess(
            name, self._names_in(table) | ({SETS} if not table and not self._start else set())
        ):
            return guess
        elsewhere = sorted({_label_of(path) for path in self._specs if path[-1] == name and len(path) < 3})
        if elsewhere:
            return f"; there is {', '.join(elsewhere)}"
        return _guess(name, {path[-1] for path in self._specs})


def _guess(name: str, known: Iterable[str]) -> str:
    guess = nearest(name, known)
    return f"; did you mean {guess}?" if guess else ""


def _label(table: TomlPath, name: str) -> str:
    return f"key [{'.'.join(table)}] {name}" if table else f"key {name}"


def _label_of(path: TomlPath) -> str:
    *tables, name = path
    return f"{name} in [{'.'.join(tables)}]" if tables else f"{name} at the top or in a scale set"
