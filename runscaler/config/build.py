"""Builds a pydantic model from a layer of values and reports all invalid values together."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from runscaler.config.problems import ConfigValue, Problems, invalid, nearest
from runscaler.config.schema import KeySpec, Kind, TomlPath, attribute, key_spec_of, put_nested, toml_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic_core import ErrorDetails

    from runscaler.config.layers import Layer
    from runscaler.config.problems import Origin

Model = TypeVar("Model", bound=BaseModel)


def build(
    model: type[Model],
    layer: Layer,
    problems: Problems,
    *,
    extra: Mapping[str, object] | None = None,
    placeholders: Layer | None = None,
    scale_set: str = "",
) -> tuple[Model, frozenset[TomlPath]]:
    """The model, and the keys whose values are invalid; for those the model has the default.

    `extra` are values of attributes that are not keys. `placeholders` replace required keys that are missing
    or invalid, so that the other keys can still be checked.
    """
    good = {**(placeholders or {}), **layer}
    rejected: set[TomlPath] = set()
    while True:
        try:
            return model.model_validate({**_nested(good), **(extra or {})}), frozenset(rejected)
        except ValidationError as error:
            details = error.errors(include_url=False)
        bad = _report(details, good, rejected, problems, scale_set)
        if not bad:
            raise AssertionError(f"{model.__name__} cannot be built from its defaults")
        rejected |= bad
        kept = {path: given for path, given in good.items() if path not in bad}
        good = {**(placeholders or {}), **kept}


def _nested(layer: Layer) -> dict[str, object]:
    nested: dict[str, object] = {}
    for path, given in layer.items():
        put_nested(nested, _attributes(path), _raw(key_spec_of(path), given.value))
    return nested


def _attributes(path: TomlPath) -> list[str]:
    """The attribute names of a path; names in an open table are the user's and stay as they are."""
    names = [attribute(name) for name in path]
    spec = key_spec_of(path)
    if spec is not None and spec.kind is Kind.TABLE:
        return [*names[: len(spec.path)], *path[len(spec.path) :]]
    return names if spec is None or spec.path == path else [*names[:-2], path[-2], names[-1]]


def _raw(spec: KeySpec | None, value: object) -> object:
    """Convert keys of tables in a list to attribute names, and a numeric client id to a string."""
    if spec is None:
        return value
    if spec.kind is Kind.TABLES and isinstance(value, list):
        return tuple(_entry(item) for item in value)
    if spec.path == ("app", "client-id") and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _entry(item: object) -> object:
    return {attribute(name): value for name, value in item.items()} if isinstance(item, dict) else item


def _report(
    details: list[ErrorDetails],
    layer: Layer,
    rejected: Collection[TomlPath],
    problems: Problems,
    scale_set: str,
) -> set[TomlPath]:
    """Report each validation error; returns the keys to leave out. `rejected` were left out before."""
    bad: set[TomlPath] = set()
    for detail in details:
        path = _path(detail["loc"], layer)
        if detail["type"] == "missing" and path not in layer:
            bad |= _siblings(path, layer)
            if path not in rejected:
                _report_missing(path, layer, problems, scale_set)
        elif path in layer:
            origin = _origin(layer[path], detail)
            problems.error(origin, _message(path, layer[path], detail), scale_set=scale_set)
            bad.add(path)
    return bad


def _origin(given: ConfigValue, detail: ErrorDetails) -> Origin:
    """In a list of tables, that of the table."""
    entry = next((part for part in detail["loc"] if isinstance(part, int)), None)
    return given.origin if entry is None else given.origin_of(entry)


def _siblings(path: TomlPath, layer: Layer) -> set[TomlPath]:
    """The keys of the same table: without a required one the whole table is left out."""
    return {other for other in layer if other[:-1] == path[:-1]}


def _report_missing(path: TomlPath, layer: Layer, problems: Problems, scale_set: str) -> None:
    """Report that a table lacks a required key."""
    origin = min((layer[one].origin for one in _siblings(path, layer)), key=lambda origin: origin.line)
    problems.error(origin, f"[{'.'.join(path[:-1])}]: {path[-1]} is missing", scale_set=scale_set)


def _path(location: tuple[int | str, ...], layer: Layer) -> TomlPath:
    """The key for a location reported by pydantic: the longest existing path, else the missing key."""
    texts = [part if isinstance(part, str) else str(part) for part in location]
    for length in range(len(texts), 0, -1):
        for path in (tuple(toml_name(text) for text in texts[:length]), *_open_paths(texts[:length])):
            if path in layer:
                return path
    return tuple(toml_name(text) for text in texts)


def _open_paths(texts: list[str]) -> list[TomlPath]:
    """The same path with the names in an open table as the user wrote them."""
    return [(*(toml_name(text) for text in texts[:start]), *texts[start:]) for start in range(1, len(texts))]


def _message(path: TomlPath, given: ConfigValue, detail: ErrorDetails) -> str:
    spec = key_spec_of(path)
    assert spec is not None
    if spec.kind is Kind.TABLES and isinstance(given.value, list) and len(detail["loc"]) > 1:
        return _entry_message(spec, detail)
    label = spec.label if spec.path == path else f"[{'.'.join(path[:-1])}] {path[-1]}"
    complaint = _complaint(given.value, spec, detail)
    return complaint if given.origin.is_flag else f"{label}: {complaint}"


def _complaint(value: object, spec: KeySpec, detail: ErrorDetails) -> str:
    reason = str(detail.get("ctx", {}).get("error", "")) if detail["type"] == "value_error" else ""
    return invalid(value, _expected(spec), spec, reason=reason)


def _expected(spec: KeySpec) -> str:
    return spec.key.accepts.removeprefix("a table of ") if spec.kind is Kind.TABLE else spec.key.accepts


def _entry_message(spec: KeySpec, detail: ErrorDetails) -> str:
    """The message about one table in a list, such as the second window of a schedule."""
    _, index, *rest = detail["loc"]
    label = f"{spec.label}, entry {int(index) + 1}"
    if not rest or spec.entry is None:
        return f"{label}: {invalid(detail['input'], 'a table')}"
    name = toml_name(str(rest[0]))
    if detail["type"] == "missing":
        return f"{label}: {name} is missing"
    if name not in spec.entry:
        guess = nearest(name, spec.entry)
        return f"{label}: unknown key {name}{f'; did you mean {guess}?' if guess else ''}"
    return f"{label}: {name}: {_complaint(detail['input'], spec.entry[name], detail)}"
