"""Keys of features that this version lacks (docs/behaviour.md § 4.4).

One that is set to anything but its default is an error, and the reference marks it. Whoever adds a feature
deletes its rows here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.config.schema import concerns_backend, scale_set_keys, top_level_keys, value_at
from runscaler.errors import ConfigError
from runscaler.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runscaler.config.base import Settings
    from runscaler.config.model import Config, ScaleSetSettings
    from runscaler.config.schema import TomlPath

REFUSED_BACKENDS = frozenset({"swarm", "orchard"})
REFUSED: tuple[TomlPath, ...] = (
    ("docker", "hosts"),
    ("docker", "pool-size"),
)
NOTES: Mapping[TomlPath, str] = {
    ("backend",): "swarm and orchard: not in this version",
}
"""Marks in the reference for keys whose values are checked elsewhere, or need no check."""


def note(path: TomlPath) -> str:
    """The reference's mark for a key or table that this version lacks; empty for all others."""
    if path in REFUSED or path[0] in REFUSED_BACKENDS:
        return "Not in this version"
    return NOTES.get(path, "")


def refuse_missing(config: Config) -> None:
    """Raises `ConfigError` if the configuration needs a feature that this version lacks."""
    if missing := missing_features(config):
        raise ConfigError(missing)


def missing_features(config: Config) -> list[Finding]:
    """The features that the configuration uses and this version lacks: an error each."""
    findings = [finding for settings in config.scale_sets for finding in _for_scale_set(settings)]
    return list(dict.fromkeys(findings))


def _for_scale_set(settings: ScaleSetSettings) -> Iterator[Finding]:
    if settings.backend in REFUSED_BACKENDS:
        yield _refused(f"backend {settings.backend}", settings.name)
    for path in REFUSED:
        if concerns_backend(path, settings.backend) and _is_changed(settings, path):
            yield _refused(scale_set_keys()[path].label, settings.name)


def _is_changed(settings: Settings, path: TomlPath) -> bool:
    value = value_at(settings, path)
    return value is not None and value != top_level_keys()[path].default


def _refused(what: str, scale_set: str = "") -> Finding:
    text = f"{what} is not available in this version"
    return Finding(Level.ERROR, text, ("remove it, or wait for a release that supports it",), scale_set)
