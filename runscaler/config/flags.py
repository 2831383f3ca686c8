"""The flags of `run`: each is the key of the same name (docs/behaviour.md § 4.4), made from the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.config import legacy
from runscaler.config.keys import Scope
from runscaler.config.problems import Given, Problems, Where
from runscaler.config.schema import Kind, Leaf, TomlPath, top_level_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runscaler.config.layers import Layer


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of `run`, without the two dashes. `kind` says how its text is read.

    `default` is shown, never passed on: a flag that the user does not give must stay away from
    `load_config`. A choice that holds "true" and "false" is a switch with more words.
    """

    name: str
    path: TomlPath
    kind: Kind
    choices: tuple[str, ...]
    help: str
    default: object
    scope: Scope
    secret: bool

    @property
    def is_switch(self) -> bool:
        """Takes --NAME, --no-NAME and --NAME=true|false."""
        return self.kind is Kind.SWITCH or "true" in self.choices

    @property
    def is_list(self) -> bool:
        """Comma-separated and repeatable."""
        return self.kind is Kind.TEXTS


def flags() -> list[Flag]:
    """Every flag: the scale set's first, then the backends', then the process's own."""
    own = [_flag(leaf) for leaf in top_level_keys().values() if leaf.key.flag]
    return sorted(own, key=lambda flag: (flag.scope is Scope.GLOBAL, len(flag.path)))


def _flag(leaf: Leaf) -> Flag:
    key = leaf.key
    return Flag(key.flag, leaf.path, leaf.kind, leaf.choices, key.help, leaf.default, key.scope, key.secret)


def flag_layer(given: Mapping[str, object]) -> Layer:
    """The values of the flags that were given, by name with dashes or underscores; None is not given.

    Raises ValueError for a name that is no flag: a mistake of the program, not of its user.
    """
    known = {leaf.key.flag: leaf for leaf in top_level_keys().values() if leaf.key.flag}
    layer: Layer = {}
    for written, value in given.items():
        name = written.replace("_", "-")
        if name not in known:
            raise ValueError(f"there is no flag --{name}")
        if value is not None and value != ():
            layer[known[name].path] = Given(_value(known[name], value), Where(f"--{name}"))
    return layer


def _value(leaf: Leaf, value: object) -> object:
    if leaf.kind is Kind.TEXTS and isinstance(value, list | tuple):
        return [part for text in value for part in legacy.split_labels(str(text))]
    return legacy.from_text(leaf, value) if isinstance(value, str) else value


def refuse_identity(layer: Layer, sets: str, problems: Problems) -> None:
    """In multi mode a flag cannot say which scale set it is about."""
    for path in _identity(layer):
        given = layer.pop(path)
        text = f"not with {sets} in the configuration: it belongs to one scale set and is never inherited"
        problems.error(given.where, text, fixes=[f"set {path[0]} in the scale set it is for"])


def _identity(layer: Layer) -> Iterable[TomlPath]:
    leaves = top_level_keys()
    return [path for path in layer if leaves[path].key.scope is Scope.IDENTITY]
