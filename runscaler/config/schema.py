"""The configuration model as a flat table of keys: TOML path → `KeySpec`.

Everything that works on all keys uses it: reading, flags, masking and the reference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from runscaler.config.base import Key, Scope
from runscaler.config.model import BACKENDS, Config, ScaleSetSettings
from runscaler.config.proxy_url import ProxyUrl
from runscaler.config.secrets import Secret
from runscaler.config.values import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic.fields import FieldInfo

    from runscaler.config.base import Settings

TomlPath = tuple[str, ...]
"""TOML keys below the top of the file, or below a scale set: ("docker", "shared-volume")."""
SETS = "scaleset"
"""Name of the array of scale sets in the file."""
MISSPELT_SETS = frozenset({"scalesets", "scale-set", "scale-sets", "scale_set", "scale_sets"})


class Kind(StrEnum):
    """The type of a key's value, as far as it matters for parsing a string."""

    STRING = "text"
    INTEGER = "whole number"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    DURATION = "duration"
    SIZE = "size"
    STRINGS = "list"
    TABLE = "table"
    TABLES = "list of tables"


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key of the configuration. `default` is `PydanticUndefined` if the key is required.

    For an array or open table of tables, `entry` holds the keys of one such table by name. (In an open table
    the user chooses the keys.)
    """

    path: TomlPath
    key: Key
    kind: Kind
    default: object
    choices: tuple[str, ...] = ()
    entry: Mapping[str, KeySpec] | None = None

    @property
    def label(self) -> str:
        """The key in messages: "max-runners", "[docker] memory"."""
        *tables, name = self.path
        return f"[{'.'.join(tables)}] {name}" if tables else name


_KINDS: dict[object, Kind] = {
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    str: Kind.STRING,
    Secret: Kind.STRING,
    ProxyUrl: Kind.STRING,
    Path: Kind.STRING,
}


def attribute(name: str) -> str:
    return name.replace("-", "_")


def toml_name(name: str) -> str:
    return name.replace("_", "-")


@cache
def scale_set_keys() -> Mapping[TomlPath, KeySpec]:
    """The keys of a scale set; they may be set at the top too."""
    return {spec.path: spec for spec in _without_repeated_flags(_specs(ScaleSetSettings, (), None))}


@cache
def global_keys() -> Mapping[TomlPath, KeySpec]:
    """The keys that may be set only at the top."""
    return {spec.path: spec for spec in _specs(Config, (), Scope.GLOBAL)}


@cache
def top_level_keys() -> Mapping[TomlPath, KeySpec]:
    """All keys that may be set at the top."""
    return {**global_keys(), **scale_set_keys()}


def _specs(model: type[BaseModel], table: TomlPath, scope: Scope | None) -> list[KeySpec]:
    found: list[KeySpec] = []
    for name, field in model.model_fields.items():
        path = (*table, toml_name(name))
        key = _key(field)
        nested = _model(field)
        if nested is not None:
            found += _specs(nested, path, key.scope if key is not None else scope)
        elif key is not None:
            found.append(_spec(path, _scoped(key, scope), field))
    return found


def _without_repeated_flags(specs: list[KeySpec]) -> list[KeySpec]:
    """Keep each flag only at its first key: [swarm] has the container keys of [docker], but without flags."""
    taken: set[str] = set()
    kept: list[KeySpec] = []
    for spec in specs:
        again = spec.key.flag in taken
        kept.append(replace(spec, key=replace(spec.key, flag="")) if again else spec)
        taken.add(spec.key.flag)
    return kept


def _scoped(key: Key, scope: Scope | None) -> Key:
    return key if scope is None else replace(key, scope=scope)


def _key(field: FieldInfo) -> Key | None:
    return next((item for item in field.metadata if isinstance(item, Key)), None)


def _members(field: FieldInfo) -> list[object]:
    """The types that a field may hold, without None."""
    annotation = field.annotation
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return [_bare(member) for member in members if member is not NoneType]


def _bare(member: object) -> object:
    return get_args(member)[0] if get_origin(member) is Annotated else member


def _model(field: FieldInfo) -> type[BaseModel] | None:
    (first, *_) = _members(field)
    return first if isinstance(first, type) and issubclass(first, BaseModel) else None


def _spec(path: TomlPath, key: Key, field: FieldInfo) -> KeySpec:
    members = _members(field)
    default = field.get_default(call_default_factory=True, validated_data={})
    words = tuple(str(word) for member in members for word in _words(member))
    choices = ("true", "false", *words) if words and bool in members else words
    return KeySpec(path, key, _kind(field, members, choices), default, choices, _entry(path, members[0]))


def _words(member: object) -> tuple[object, ...]:
    return get_args(member) if get_origin(member) is Literal else ()


def _entry(path: TomlPath, member: object) -> Mapping[str, KeySpec] | None:
    """The keys of one table in an array or table of tables; None for other types."""
    for argument in get_args(member):
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            return {spec.path[-1]: spec for spec in _specs(argument, path, None)}
    return None


def _kind(field: FieldInfo, members: list[object], choices: tuple[str, ...]) -> Kind:
    unit = next((item for item in field.metadata if isinstance(item, Unit)), None)
    if unit is not None:
        return Kind.DURATION if unit is Unit.SECONDS else Kind.SIZE
    if choices:
        return Kind.CHOICE
    first = get_origin(members[0]) or members[0]
    if first is tuple:
        return Kind.TABLES if _entry((), members[0]) is not None else Kind.STRINGS
    return _KINDS.get(first, Kind.TABLE)


def key_spec_of(path: TomlPath) -> KeySpec | None:
    """The key at a path, also inside an open table; None if it is unknown."""
    for length in range(len(path), 0, -1):
        spec = top_level_keys().get(path[:length])
        if spec is not None and spec.entry is not None and length < len(path):
            return spec.entry.get(path[-1], spec)
        if spec is not None:
            return spec
    return None


def is_open_table(spec: KeySpec) -> bool:
    """Whether the key is a table of strings or numbers whose keys the user chooses."""
    return spec.kind is Kind.TABLE and spec.entry is None


def value_at(settings: Settings, path: TomlPath) -> object:
    """The value of a key in the settings; None if its table is None."""
    value: object = settings
    for name in path:
        value = getattr(value, attribute(name)) if value is not None else None
    return value


def put_nested(table: dict[str, object], names: Sequence[str], value: object) -> None:
    """Set `table[names[0]][names[1]]… = value`, creating the tables in between."""
    for name in names[:-1]:
        inner = table.setdefault(name, {})
        assert isinstance(inner, dict)
        table = inner
    table[names[-1]] = value


def concerns_backend(path: TomlPath, backend: str) -> bool:
    """Whether a key matters for a scale set on this backend: tables of other backends do not."""
    return path[0] not in BACKENDS or path[0] == backend
