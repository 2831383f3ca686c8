"""From a layer of values to a typed model, with every value that it refuses told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from runscaler.config.problems import Given, Problems, nearest, shown
from runscaler.config.schema import Kind, Leaf, TomlPath, attribute, key_spec_of, toml_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from runscaler.config.layers import Layer

Model = TypeVar("Model", bound=BaseModel)


def build(
    model: type[Model],
    layer: Layer,
    problems: Problems,
    *,
    extra: Mapping[str, object] | None = None,
    stand_ins: Layer | None = None,
    scale_set: str = "",
) -> tuple[Model, frozenset[TomlPath]]:
    """The model, and the keys whose values were refused (there the default stands).

    `extra` are values beside the keys, by attribute; `stand_ins` take the place of required keys that
    are missing or refused, so that the rest can be looked at all the same.
    """
    good = {**(stand_ins or {}), **layer}
    refused: set[TomlPath] = set()
    while True:
        try:
            return model.model_validate({**_nested(good), **(extra or {})}), frozenset(refused)
        except ValidationError as error:
            details = error.errors(include_url=False)
        bad = _told(details, good, problems, scale_set)
        if not bad:
            raise AssertionError(f"{model.__name__} cannot be built from its defaults")
        refused |= bad
        kept = {path: given for path, given in good.items() if path not in bad}
        good = {**(stand_ins or {}), **kept}


def _nested(layer: Layer) -> dict[str, object]:
    nested: dict[str, object] = {}
    for path, given in layer.items():
        table = nested
        for name in _attributes(path)[:-1]:
            inner = table.setdefault(name, {})
            assert isinstance(inner, dict)
            table = inner
        table[_attributes(path)[-1]] = _raw(key_spec_of(path), given.value)
    return nested


def _attributes(path: TomlPath) -> list[str]:
    """The names in the model; those in an open table are the user's own."""
    names = [attribute(name) for name in path]
    leaf = key_spec_of(path)
    if leaf is not None and leaf.kind is Kind.TABLE:
        return [*names[: len(leaf.path)], *path[len(leaf.path) :]]
    return names if leaf is None or leaf.path == path else [*names[:-2], path[-2], names[-1]]


def _raw(leaf: Leaf | None, value: object) -> object:
    """Tables in a list get the model's names; an id may be written as a number."""
    if leaf is None:
        return value
    if leaf.kind is Kind.TABLES and isinstance(value, list):
        return tuple(_entry(item) for item in value)
    if leaf.path == ("app", "client-id") and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _entry(item: object) -> object:
    return {attribute(name): value for name, value in item.items()} if isinstance(item, dict) else item


def _told(details: list[ErrorDetails], layer: Layer, problems: Problems, scale_set: str) -> set[TomlPath]:
    """Tells each refusal; returns the keys to leave out."""
    bad: set[TomlPath] = set()
    for detail in details:
        path = _path(detail["loc"], layer)
        if detail["type"] == "missing" and path not in layer:
            bad |= _told_missing(path, layer, problems, scale_set)
        elif path in layer:
            problems.error(layer[path].where, _refusal(path, layer[path], detail), scale_set=scale_set)
            bad.add(path)
    return bad


def _told_missing(path: TomlPath, layer: Layer, problems: Problems, scale_set: str) -> set[TomlPath]:
    """A table without a key that it needs; all of the table is left out."""
    siblings = {other for other in layer if other[:-1] == path[:-1]}
    where = layer[min(siblings, key=lambda other: layer[other].where.line)].where
    problems.error(where, f"[{'.'.join(path[:-1])}]: {path[-1]} is missing", scale_set=scale_set)
    return siblings


def _path(location: tuple[int | str, ...], layer: Layer) -> TomlPath:
    """The key that pydantic's place stands for: the longest that was given, else the one missing."""
    texts = [part if isinstance(part, str) else str(part) for part in location]
    for length in range(len(texts), 0, -1):
        for path in (tuple(toml_name(text) for text in texts[:length]), *_open_paths(texts[:length])):
            if path in layer:
                return path
    return tuple(toml_name(text) for text in texts)


def _open_paths(texts: list[str]) -> list[TomlPath]:
    """The same place with the user's own names in their own spelling."""
    return [(*(toml_name(text) for text in texts[:start]), *texts[start:]) for start in range(1, len(texts))]


def _refusal(path: TomlPath, given: Given, detail: ErrorDetails) -> str:
    leaf = key_spec_of(path)
    assert leaf is not None
    if leaf.kind is Kind.TABLES and isinstance(given.value, list) and len(detail["loc"]) > 1:
        return _entry_refusal(leaf, detail)
    label = leaf.label if leaf.path == path else f"[{'.'.join(path[:-1])}] {path[-1]}"
    complaint = _complaint(given.value, leaf, detail)
    return complaint if given.where.is_flag else f"{label}: {complaint}"


def _complaint(value: object, leaf: Leaf, detail: ErrorDetails) -> str:
    reason = str(detail.get("ctx", {}).get("error", "")) if detail["type"] == "value_error" else ""
    because = f" ({reason})" if reason else ""
    return f"{shown(value, leaf)} is not accepted{because}, only {_accepted(leaf)}"


def _accepted(leaf: Leaf) -> str:
    return leaf.key.accepts.removeprefix("a table of ") if leaf.kind is Kind.TABLE else leaf.key.accepts


def _entry_refusal(leaf: Leaf, detail: ErrorDetails) -> str:
    """About one table in a list, such as the second window of a schedule."""
    _, index, *rest = detail["loc"]
    label = f"{leaf.label}, entry {int(index) + 1}"
    if not rest or leaf.entry is None:
        return f"{label}: {shown(detail['input'])} is not accepted, only a table"
    name = toml_name(str(rest[0]))
    if detail["type"] == "missing":
        return f"{label}: {name} is missing"
    if name not in leaf.entry:
        guess = nearest(name, leaf.entry)
        return f"{label}: unknown key {name}{f'; did you mean {guess}?' if guess else ''}"
    return f"{label}: {name}: {_complaint(detail['input'], leaf.entry[name], detail)}"
