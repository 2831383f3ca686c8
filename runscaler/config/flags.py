"""The flags of `run`, generated from the configuration keys (docs/behaviour.md § 4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.config import legacy
from runscaler.config.base import Scope
from runscaler.config.problems import ConfigValue, Origin, Problems
from runscaler.config.schema import KeySpec, Kind, TomlPath, top_level_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runscaler.config.layers import Layer


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of `run`; `name` is without the dashes. `kind` says how its text is parsed.

    `default` is only for the help: a flag that the user does not give must not reach `load_config`.
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
    def is_boolean(self) -> bool:
        """Whether --NAME, --no-NAME and --NAME=true|false are accepted; there may be other choices."""
        return self.kind is Kind.BOOLEAN or "true" in self.choices

    @property
    def is_list(self) -> bool:
        """Whether the flag is comma-separated and repeatable."""
        return self.kind is Kind.STRINGS


def flags() -> list[Flag]:
    """All flags: those of the scale set, of the backends, then of the process."""
    own = [_flag(spec) for spec in top_level_keys().values() if spec.key.flag]
    return sorted(own, key=lambda flag: (flag.scope is Scope.GLOBAL, len(flag.path)))


def _flag(spec: KeySpec) -> Flag:
    key = spec.key
    return Flag(key.flag, spec.path, spec.kind, spec.choices, key.help, spec.default, key.scope, key.secret)


def flag_layer(given: Mapping[str, object]) -> Layer:
    """The layer of the given flags, by name with dashes or underscores; None means not given.

    Raises ValueError for an unknown name, which is a bug of the caller.
    """
    known = {spec.key.flag: spec for spec in top_level_keys().values() if spec.key.flag}
    layer: Layer = {}
    for written, value in given.items():
        name = written.replace("_", "-")
        if name not in known:
            raise ValueError(f"there is no flag --{name}")
        if value is not None and value != ():
            layer[known[name].path] = ConfigValue(_value(known[name], value), Origin(f"--{name}"))
    return layer


def _value(spec: KeySpec, value: object) -> object:
    if spec.kind is Kind.STRINGS and isinstance(value, list | tuple):
        return [part for text in value for part in legacy.split_labels(str(text))]
    return legacy.from_text(spec, value) if isinstance(value, str) else value


def refuse_identity(layer: Layer, sets: str, problems: Problems) -> None:
    """Report flags for identity keys: with several scale sets it is unclear which one they are for."""
    for path in _identity(layer):
        given = layer.pop(path)
        text = f"cannot be used with {sets} in the configuration: it applies to one scale set only"
        problems.error(given.origin, text, fixes=[f"set {path[0]} in that scale set"])


def _identity(layer: Layer) -> Iterable[TomlPath]:
    specs = top_level_keys()
    return [path for path in layer if specs[path].key.scope is Scope.IDENTITY]
