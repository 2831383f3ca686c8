"""From a file to flat layers of values: top level and scale sets, each value with its place.

Unknown keys end here, and so does what the Go tool put up with (`legacy`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runscaler.config import legacy
from runscaler.config.problems import Given, Problems, nearest, shown
from runscaler.config.schema import SETS, Kind, Leaf, TomlPath, global_keys, scale_set_keys, top_level_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runscaler.config.positions import KeyPath
    from runscaler.config.problems import Where
    from runscaler.config.sources import Document

Layer = dict[TomlPath, Given]
"""TOML path → value; the keys of a table that is the user's own ([docker] env) are paths too."""

_EMPTY_IS_ABSENT = frozenset({("docker", "socket"), ("runner-group",), ("runner-image",), ("backend",)})


@dataclass(slots=True)
class Layers:
    """The top level and, in multi mode, the scale sets; `places` are where the sets begin."""

    top: Layer = field(default_factory=dict)
    sets: list[Layer] = field(default_factory=list)
    places: list[Where] = field(default_factory=list)
    is_multi: bool = False


def read_layers(document: Document, problems: Problems) -> Layers:
    layers = Layers()
    data = dict(document.data)
    name = next((name for name in data if name.lower() == SETS), "")
    entries = _entries(document, name, data.pop(name, []), problems)
    layers.is_multi = bool(entries)
    layers.top = _Table(document, problems, (), top_level_keys()).read(data)
    for path, entry in entries:
        layers.places.append(document.where(*path))
        layers.sets.append(_Table(document, problems, path, scale_set_keys()).read(entry))
    if layers.is_multi:
        _drop_identity(layers.top, problems)
    return layers


def _entries(
    document: Document, name: str, value: object, problems: Problems
) -> list[tuple[KeyPath, Mapping[str, object]]]:
    where = document.where(name)
    if name and name != SETS:
        problems.warn(where, f"[[{name}]] is read as [[{SETS}]]")
    if isinstance(value, dict):
        problems.warn(where, f"[{SETS}] is read as one scale set", fixes=[f"write [[{SETS}]]"])
        return [((name,), value)]
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return [((name, index), entry) for index, entry in enumerate(value)]
    problems.error(where, f"{SETS}: {shown(value)} is not accepted, only tables that begin with [[{SETS}]]")
    return []


def _drop_identity(top: Layer, problems: Problems) -> None:
    """What identifies a scale set means nothing at the top beside [[scaleset]]."""
    for path in [path for path in top if path[0] in legacy.IGNORED_BESIDE_SETS]:
        given = top.pop(path)
        text = f"{path[0]} is ignored at the top beside [[{SETS}]]: a scale set never inherits it"
        problems.warn(given.where, text, fixes=[f"move it into a [[{SETS}]], or remove it"])


class _Table:
    """Reads the top level or one scale set. `start` is where in the file that is."""

    def __init__(
        self, document: Document, problems: Problems, start: KeyPath, leaves: Mapping[TomlPath, Leaf]
    ) -> None:
        self._document = document
        self._problems = problems
        self._start = start
        self._leaves = leaves
        self._layer: Layer = {}

    def read(self, data: Mapping[str, object]) -> Layer:
        self._read_table((), self._start, data)
        return self._layer

    def _read_table(self, table: TomlPath, place: KeyPath, data: Mapping[str, object]) -> None:
        known = self._names_in(table)
        for written, value in data.items():
            where = self._document.where(*place, written)
            name = written if written in known else written.lower()
            path = (*table, name)
            if name not in known:
                self._unknown(table, written, where)
                continue
            if name != written:
                self._problems.warn(where, f"{written} is read as {name}", fixes=[f"write {name}"])
            if path in self._leaves:
                self._read_leaf(self._leaves[path], value, (*place, written))
            elif isinstance(value, dict):
                self._read_table(path, (*place, written), value)
            else:
                self._problems.error(
                    where, f"[{'.'.join(path)}]: {shown(value)} is not accepted, only a table"
                )

    def _names_in(self, table: TomlPath) -> frozenset[str]:
        depth = len(table)
        return frozenset(path[depth] for path in self._leaves if path[:depth] == table and len(path) > depth)

    def _read_leaf(self, leaf: Leaf, value: object, place: KeyPath) -> None:
        if leaf.kind is Kind.TABLE and isinstance(value, dict):
            self._read_open(leaf, value, place)
            return
        where = self._document.where(*place)
        value = self._lenient(leaf, value, where)
        if self._is_absent(leaf, value):
            return
        if leaf.path in self._layer:
            self._problems.error(where, f"{leaf.label} is given twice, in different case")
        self._layer[leaf.path] = Given(value, where)

    def _read_open(self, leaf: Leaf, value: Mapping[str, object], place: KeyPath) -> None:
        """A table whose keys are the user's: each of them is inherited by itself."""
        for name, entry in value.items():
            path, where = (*leaf.path, name), self._document.where(*place, name)
            if leaf.entry is None:
                self._layer[path] = Given(entry, where)
            elif isinstance(entry, dict):
                self._read_entry(leaf.entry, path, entry, (*place, name))
            else:
                text = f"{leaf.label}: {shown(name)} is not accepted, only {leaf.key.accepts}"
                self._problems.error(where, text)

    def _read_entry(
        self, keys: Mapping[str, Leaf], path: TomlPath, entry: Mapping[str, object], place: KeyPath
    ) -> None:
        for name, value in entry.items():
            where = self._document.where(*place, name)
            if name in keys:
                self._layer[(*path, name)] = Given(value, where)
            else:
                self._problems.error(where, f"unknown key {name} in {'.'.join(path)}{_guess(name, keys)}")

    def _lenient(self, leaf: Leaf, value: object, where: Where) -> object:
        """Texts where numbers, switches or lists belong, as the Go tool took them."""
        if not isinstance(value, str) or (leaf.kind is Kind.TEXTS and leaf.path != ("labels",)):
            return value
        meant = legacy.from_text(leaf, value)
        if not isinstance(meant, str):
            self._problems.warn(where, f"{leaf.label}: the text {shown(value)} is read as {shown(meant)}")
        return meant

    def _is_absent(self, leaf: Leaf, value: object) -> bool:
        if leaf.path == ("max-runners",):
            return bool(self._start) and value == 0 and not isinstance(value, bool)
        return leaf.path in _EMPTY_IS_ABSENT and value == ""

    def _unknown(self, table: TomlPath, written: str, where: Where) -> None:
        name = written.lower()
        place = legacy.new_place(table, name)
        if place is not None:
            text = f"{_label(table, written)} is a key of the first versions: its place is {_label_of(place)}"
        elif name in legacy.MISPLACED and table in legacy.MISPLACED_IN:
            text = f"{name} is ignored here: it belongs at the top of the file"
            self._problems.warn(where, text)
            return
        else:
            text = f"unknown {_label(table, written)}{self._advice(table, name)}"
        if self._document.is_legacy:
            self._problems.warn(where, f"{text}; ignored, as the Go tool did")
        else:
            self._problems.error(where, text)

    def _advice(self, table: TomlPath, name: str) -> str:
        """What was probably meant: the same key elsewhere, or the nearest one here."""
        if (*table, name) not in self._leaves and (name,) in global_keys():
            return f": {name} belongs at the top of the file, above the first [table]"
        if guess := _guess(
            name, self._names_in(table) | ({SETS} if not table and not self._start else set())
        ):
            return guess
        elsewhere = sorted({_label_of(path) for path in self._leaves if path[-1] == name and len(path) < 3})
        if elsewhere:
            return f"; there is {', '.join(elsewhere)}"
        return _guess(name, {path[-1] for path in self._leaves})


def _guess(name: str, known: Iterable[str]) -> str:
    guess = nearest(name, known)
    return f"; did you mean {guess}?" if guess else ""


def _label(table: TomlPath, name: str) -> str:
    return f"key [{'.'.join(table)}] {name}" if table else f"key {name}"


def _label_of(path: TomlPath) -> str:
    *tables, name = path
    return f"{name} in [{'.'.join(tables)}]" if tables else f"{name} at the top or in a scale set"
