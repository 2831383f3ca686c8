"""The model seen as a flat table of keys: TOML path → what may stand there.

Everything that goes through all keys (reading, flags, masking, the reference) goes through this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from runscaler.config.keys import Key, Scope
from runscaler.config.model import Config, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.config.values import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

TomlPath = tuple[str, ...]
"""TOML keys from the top of the file, or of a scale set: ("docker", "shared-volume")."""
SETS = "scaleset"
"""The list of scale sets in the file."""


class Kind(StrEnum):
    """What sort of value a key holds, as far as reading a text for it goes."""

    TEXT = "text"
    INTEGER = "whole number"
    NUMBER = "number"
    SWITCH = "switch"
    CHOICE = "choice"
    DURATION = "duration"
    SIZE = "size"
    TEXTS = "list"
    TABLE = "table"
    TABLES = "list of tables"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One key. `default` is the field's own, `PydanticUndefined` where it is required.

    An open leaf is a table whose keys are the user's; `entry` is what such a key holds in turn, by
    name, where it is no plain value.
    """

    path: TomlPath
    key: Key
    kind: Kind
    default: object
    choices: tuple[str, ...] = ()
    entry: Mapping[str, Leaf] | None = None

    @property
    def label(self) -> str:
        """The key as messages call it: "max-runners", "[docker] memory"."""
        *tables, name = self.path
        return f"[{'.'.join(tables)}] {name}" if tables else name


_PLAIN: dict[object, Kind] = {
    bool: Kind.SWITCH,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    str: Kind.TEXT,
    Secret: Kind.TEXT,
    Path: Kind.TEXT,
}


def attribute(name: str) -> str:
    return name.replace("-", "_")


def toml_name(name: str) -> str:
    return name.replace("_", "-")


@cache
def scale_set_keys() -> Mapping[TomlPath, Leaf]:
    """The keys of a scale set, which may stand at the top too."""
    return {leaf.path: leaf for leaf in _flags_once(_leaves(ScaleSetSettings, (), None))}


@cache
def global_keys() -> Mapping[TomlPath, Leaf]:
    """The keys that stand at the top only."""
    return {leaf.path: leaf for leaf in _leaves(Config, (), Scope.GLOBAL)}


@cache
def top_level_keys() -> Mapping[TomlPath, Leaf]:
    return {**global_keys(), **scale_set_keys()}


def _leaves(model: type[BaseModel], table: TomlPath, scope: Scope | None) -> list[Leaf]:
    found: list[Leaf] = []
    for name, field in model.model_fields.items():
        path = (*table, toml_name(name))
        key = _key(field)
        nested = _model(field)
        if nested is not None:
            found += _leaves(nested, path, key.scope if key is not None else scope)
        elif key is not None:
            found.append(_leaf(path, _scoped(key, scope), field))
    return found


def _flags_once(leaves: list[Leaf]) -> list[Leaf]:
    """A flag is that of the first key that names it: [swarm] takes the container keys without theirs."""
    taken: set[str] = set()
    kept: list[Leaf] = []
    for leaf in leaves:
        again = leaf.key.flag in taken
        kept.append(replace(leaf, key=replace(leaf.key, flag="")) if again else leaf)
        taken.add(leaf.key.flag)
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


def _leaf(path: TomlPath, key: Key, field: FieldInfo) -> Leaf:
    members = _members(field)
    default = field.get_default(call_default_factory=True, validated_data={})
    words = tuple(str(word) for member in members for word in _words(member))
    choices = ("true", "false", *words) if words and bool in members else words
    return Leaf(path, key, _kind(field, members, choices), default, choices, _entry(path, members[0]))


def _words(member: object) -> tuple[object, ...]:
    return get_args(member) if get_origin(member) is Literal else ()


def _entry(path: TomlPath, member: object) -> Mapping[str, Leaf] | None:
    """For a table of tables: the keys of one entry."""
    for argument in get_args(member):
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            return {leaf.path[-1]: leaf for leaf in _leaves(argument, path, None)}
    return None


def _kind(field: FieldInfo, members: list[object], choices: tuple[str, ...]) -> Kind:
    unit = next((item for item in field.metadata if isinstance(item, Unit)), None)
    if unit is not None:
        return Kind.DURATION if unit is Unit.SECONDS else Kind.SIZE
    if choices:
        return Kind.CHOICE
    first = get_origin(members[0]) or members[0]
    if first is tuple:
        return Kind.TABLES if _entry((), members[0]) is not None else Kind.TEXTS
    return _PLAIN.get(first, Kind.TABLE)


def is_required(leaf: Leaf) -> bool:
    return leaf.default is PydanticUndefined


def key_spec_of(path: TomlPath) -> Leaf | None:
    """The declaration of a key, of what stands in an open table too; None for an unknown one."""
    for length in range(len(path), 0, -1):
        leaf = top_level_keys().get(path[:length])
        if leaf is not None and leaf.entry is not None and length < len(path):
            return leaf.entry.get(path[-1], leaf)
        if leaf is not None:
            return leaf
    return None
