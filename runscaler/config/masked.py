"""Effective settings as plain data, in the configuration's own keys and tables, secrets masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.config.problems import mask_user_info
from runscaler.config.schema import Kind, Leaf, TomlPath, attribute, global_keys, scale_set_keys, toml_name
from runscaler.config.secrets import Secret
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.base import Settings
    from runscaler.config.model import Config, ScaleSetSettings

_BACKEND_TABLES = frozenset({"docker", "tart", "process", "swarm", "orchard"})


def masked_settings(settings: ScaleSetSettings) -> dict[str, object]:
    """A scale set for `validate --json`: tables of backends that it does not use are left out."""
    unused = _BACKEND_TABLES - {settings.backend}
    leaves = {path: leaf for path, leaf in scale_set_keys().items() if path[0] not in unused}
    return _plain(settings, leaves)


def masked_globals(config: Config) -> dict[str, object]:
    """The process's own keys, in the same form."""
    return _plain(config, global_keys())


def _plain(settings: Settings, leaves: Mapping[TomlPath, Leaf]) -> dict[str, object]:
    plain: dict[str, object] = {}
    for path, leaf in leaves.items():
        value: object = settings
        for name in path:
            value = getattr(value, attribute(name)) if value is not None else None
        if value is not None:
            table = plain
            for name in path[:-1]:
                inner = table.setdefault(name, {})
                assert isinstance(inner, dict)
                table = inner
            table[path[-1]] = _shown(leaf, value)
    return plain


def _shown(leaf: Leaf, value: object) -> object:
    if isinstance(value, Secret):
        return Secret.MASK
    if leaf.kind is Kind.DURATION and isinstance(value, int | float):
        return format_duration(value)
    if leaf.kind is Kind.TABLE and leaf.entry is not None and hasattr(value, "items"):
        return {name: _entry(leaf.entry, entry) for name, entry in value.items()}
    if leaf.kind is Kind.TABLE and hasattr(value, "items"):
        return dict(value.items())
    if leaf.kind is Kind.TABLES and leaf.entry is not None and isinstance(value, tuple):
        return [_entry(leaf.entry, entry) for entry in value]
    if isinstance(value, tuple):
        return [mask_user_info(item) if isinstance(item, str) else item for item in value]
    return value if isinstance(value, bool | int | float) else mask_user_info(str(value))


def _entry(keys: Mapping[str, Leaf], entry: object) -> dict[str, object]:
    values = {name: getattr(entry, attribute(name)) for name in keys}
    return {toml_name(name): _shown(keys[name], value) for name, value in values.items() if value is not None}
