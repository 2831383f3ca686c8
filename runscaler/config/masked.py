"""Effective settings as plain data with the keys and tables of the configuration; secrets are masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.config.problems import mask_user_info
from runscaler.config.proxy_url import ProxyUrl
from runscaler.config.schema import (
    KeySpec,
    Kind,
    TomlPath,
    attribute,
    concerns_backend,
    global_keys,
    put_nested,
    scale_set_keys,
    toml_name,
    value_at,
)
from runscaler.config.secrets import Secret
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.base import Settings
    from runscaler.config.model import Config, ScaleSetSettings

_USER = "user"
"""The key of a registry's user: no secret, unless it is kept like one."""


def masked_settings(settings: ScaleSetSettings) -> dict[str, object]:
    """A scale set for `validate --json`, without the tables of backends that it does not use."""
    specs = {
        path: spec for path, spec in scale_set_keys().items() if concerns_backend(path, settings.backend)
    }
    return _plain(settings, specs)


def masked_globals(config: Config) -> dict[str, object]:
    """The keys of the whole process, in the same format."""
    return _plain(config, global_keys())


def secrets_of(config: Config) -> list[Secret]:
    """The secrets to mask wherever they turn up: of open tables such as [docker.env], and of the users of
    registries, only references, as their other values may be words like "docker"."""
    found: list[Secret] = []
    for settings in config.scale_sets:
        for path, spec in scale_set_keys().items():
            if concerns_backend(path, settings.backend):
                found += _secrets_in(spec, value_at(settings, path))
    return found


def _secrets_in(spec: KeySpec, value: object) -> list[Secret]:
    if isinstance(value, Secret):
        return [value]
    if isinstance(value, ProxyUrl):
        return [*value.secrets()]
    if spec.kind is not Kind.TABLE or not hasattr(value, "values"):
        return []
    if spec.entry is None:
        return [one for one in value.values() if _is_reference(one)]
    entries = [(name, getattr(entry, attribute(name))) for entry in value.values() for name in spec.entry]
    return [one for name, one in entries if isinstance(one, Secret) and (name != _USER or _is_reference(one))]


def _is_reference(value: object) -> bool:
    return isinstance(value, Secret) and bool(value.variable or value.file)


def _plain(settings: Settings, specs: Mapping[TomlPath, KeySpec]) -> dict[str, object]:
    plain: dict[str, object] = {}
    for path, spec in specs.items():
        value = value_at(settings, path)
        if value is not None:
            put_nested(plain, path, masked_value(spec, value))
    return plain


def masked_value(spec: KeySpec, value: object) -> object:
    """A value of that key as plain data."""
    if isinstance(value, Secret):
        return Secret.MASK
    if spec.kind is Kind.DURATION and isinstance(value, int | float):
        return format_duration(value)
    if spec.kind is Kind.TABLE and spec.entry is not None and hasattr(value, "items"):
        return {name: _entry(spec.entry, entry) for name, entry in value.items()}
    if spec.kind is Kind.TABLE and hasattr(value, "items"):
        return {name: Secret.MASK if isinstance(entry, Secret) else entry for name, entry in value.items()}
    if spec.kind is Kind.TABLES and spec.entry is not None and isinstance(value, tuple):
        return [_entry(spec.entry, entry) for entry in value]
    if isinstance(value, tuple):
        return [mask_user_info(item) if isinstance(item, str) else item for item in value]
    return value if isinstance(value, bool | int | float) else mask_user_info(str(value))


def _entry(keys: Mapping[str, KeySpec], entry: object) -> dict[str, object]:
    values = {name: getattr(entry, attribute(name)) for name in keys}
    return {
        toml_name(name): masked_value(keys[name], value)
        for name, value in values.items()
        if value is not None
    }
