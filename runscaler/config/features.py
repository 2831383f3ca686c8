"""Keys whose feature this version does not have (docs/behaviour.md § 4.4, last rule).

`REFUSED…` are errors, `IDLE…` warnings, and the reference marks both; the release that brings a feature
deletes its row. A value that differs from the default counts: the default asks for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.config.schema import attribute, scale_set_keys, top_level_keys
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
    ("schedule",),
    ("proxy",),
    ("ca",),
    ("docker", "hosts"),
    ("docker", "pool-size"),
    ("docker", "registry-mirror"),
    ("docker", "registry-auth"),
    ("docker", "prune-images-after"),
)
REFUSED_GLOBALLY: tuple[TomlPath, ...] = (
    ("host", "min-free-memory"),
    ("host", "min-free-disk"),
    ("host", "max-load"),
)
IDLE: tuple[TomlPath, ...] = (
    ("docker", "shared-volume-ttl"),
    ("docker", "shared-volume-cleanup-interval"),
    ("docker", "buildx-cleanup"),
    ("docker", "buildx-cleanup-ttl"),
    ("docker", "buildx-cleanup-interval"),
    ("docker", "prune-on-exit"),
)
IDLE_GLOBALLY = "metrics"
REMARKED: Mapping[TomlPath, str] = {
    ("backend",): "swarm and orchard: not in this version",
    ("docker", "dind"): f'"{REFUSED_DIND}": not in this version',
    ("docker", "sidecar-image"): "Not in this version",
    ("update-check",): "No effect in this version",
}
"""What the reference alone tells: giving these asks for nothing that is missing, or is told elsewhere."""


def remark(path: TomlPath) -> str:
    """What the reference says about a key, or a table, that this version lacks; empty for all others."""
    if path in (*REFUSED, *REFUSED_GLOBALLY, ("app",)) or path[0] in REFUSED_BACKENDS:
        return "Not in this version"
    if path in IDLE or path[0] == IDLE_GLOBALLY:
        return "No effect in this version"
    return REMARKED.get(path, "")


def missing_features(config: Config) -> list[Finding]:
    """What the configuration asks for and this version lacks: errors first, then warnings."""
    findings = [*_of_process(config)]
    for settings in config.scale_sets:
        findings += _of_set(settings)
    return sorted(dict.fromkeys(findings), key=lambda finding: finding.level is not Level.ERROR)


def _of_process(config: Config) -> Iterator[Finding]:
    for path in REFUSED_GLOBALLY:
        if _is_changed(config, path):
            yield _refused(top_level_keys()[path].label)
    for path, leaf in top_level_keys().items():
        if path[0] == IDLE_GLOBALLY and _is_changed(config, path):
            yield _idle(leaf.label)


def _of_set(settings: ScaleSetSettings) -> Iterator[Finding]:
    if settings.backend in REFUSED_BACKENDS:
        yield _refused(f"backend {settings.backend}", settings.name)
    if settings.backend == "docker" and settings.docker.dind == REFUSED_DIND:
        yield _refused(f'[docker] dind = "{REFUSED_DIND}"', settings.name)
    for path in REFUSED:
        if _counts(settings, path) and _is_changed(settings, path):
            label = "[app]" if path[0] == "app" else scale_set_keys()[path].label
            yield _refused(label, settings.name)
    for path in IDLE:
        if _counts(settings, path) and _is_changed(settings, path):
            yield _idle(scale_set_keys()[path].label, settings.name)


def _counts(settings: ScaleSetSettings, path: TomlPath) -> bool:
    """A backend's table asks for nothing where the set lives on another backend."""
    return len(path) == 1 or path[0] in ("app", settings.backend)


def _is_changed(settings: Settings, path: TomlPath) -> bool:
    value: object = settings
    for name in path:
        value = getattr(value, attribute(name)) if value is not None else None
    return value is not None and value != top_level_keys()[path].default


def _refused(what: str, scale_set: str = "") -> Finding:
    text = f"{what} is not available in this version"
    return Finding(Level.ERROR, text, ("remove it, or wait for the release that brings it",), scale_set)


def _idle(what: str, scale_set: str = "") -> Finding:
    text = f"{what} has no effect in this version"
    return Finding(Level.WARNING, text, (), scale_set)
