"""Keys of features that this version lacks (docs/behaviour.md § 4.4).

If one of them is set to anything but its default, that is an error for `REFUSED…` and a warning for those in
`TABLE_WITHOUT_EFFECT`. The reference marks both. Whoever adds a feature deletes its rows here.
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
REFUSED_DIND = "sidecar"
REFUSED: tuple[TomlPath, ...] = (
    ("app", "client-id"),
    ("docker", "hosts"),
    ("docker", "pool-size"),
)
TABLE_WITHOUT_EFFECT = "metrics"
NOTES: Mapping[TomlPath, str] = {
    ("backend",): "swarm and orchard: not in this version",
    ("docker", "dind"): f'"{REFUSED_DIND}": not in this version',
    ("docker", "sidecar-image"): "Not in this version",
}
"""Marks in the reference for keys whose values are checked elsewhere, or need no check."""


def note(path: TomlPath) -> str:
    """The reference's mark for a key or table that this version lacks; empty for all others."""
    if path in (*REFUSED, ("app",)) or path[0] in REFUSED_BACKENDS:
        return "Not in this version"
    if path[0] == TABLE_WITHOUT_EFFECT:
        return "No effect in this version"
    return NOTES.get(path, "")


def refuse_missing(config: Config) -> None:
    """Raises `ConfigError` if the configuration needs a feature that this version lacks."""
    missing = missing_features(config)
    if any(finding.level is Level.ERROR for finding in missing):
        raise ConfigError(missing)


def missing_features(config: Config) -> list[Finding]:
    """The features that the configuration uses and this version lacks: errors, then warnings."""
    findings = [*_for_process(config)]
    for settings in config.scale_sets:
        findings += _for_scale_set(settings)
    return sorted(dict.fromkeys(findings), key=lambda finding: finding.level is not Level.ERROR)


def _for_process(config: Config) -> Iterator[Finding]:
    for path, spec in top_level_keys().items():
        if path[0] == TABLE_WITHOUT_EFFECT and _is_changed(config, path):
            yield _without_effect(spec.label)


def _for_scale_set(settings: ScaleSetSettings) -> Iterator[Finding]:
    if settings.backend in REFUSED_BACKENDS:
        yield _refused(f"backend {settings.backend}", settings.name)
    if settings.backend == "docker" and settings.docker.dind == REFUSED_DIND:
        yield _refused(f'[docker] dind = "{REFUSED_DIND}"', settings.name)
    for path in REFUSED:
        if concerns_backend(path, settings.backend) and _is_changed(settings, path):
            label = "[app]" if path[0] == "app" else scale_set_keys()[path].label
            yield _refused(label, settings.name)


def _is_changed(settings: Settings, path: TomlPath) -> bool:
    value = value_at(settings, path)
    return value is not None and value != top_level_keys()[path].default


def _refused(what: str, scale_set: str = "") -> Finding:
    text = f"{what} is not available in this version"
    return Finding(Level.ERROR, text, ("remove it, or wait for a release that supports it",), scale_set)


def _without_effect(what: str) -> Finding:
    return Finding(Level.WARNING, f"{what} has no effect in this version")
