"""What a new version of the configuration changes (docs/behaviour.md § 4.5)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.config.masked import masked_value
from runscaler.config.model import ScaleSetSettings
from runscaler.config.schema import (
    KeySpec,
    TomlPath,
    concerns_backend,
    global_keys,
    scale_set_keys,
    value_at,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from runscaler.config.backends import DockerSettings
    from runscaler.config.base import Settings
    from runscaler.config.model import Config
    from runscaler.names import ScaleSetKey

# The first part of a key's path: a key at the top, or a whole table.
NEED_RESTART = frozenset({"health-host", "health-port", "state-dir", "dry-run", "metrics"})
"""What a program takes when it starts."""
WITHOUT_TRACE = frozenset({"update-check"})
"""What only matters at a start."""
CREDENTIALS = frozenset({"token", "app", "proxy", "ca"})
"""What the calls to GitHub are made with."""
LABELS = "labels"
_LIMITS = frozenset(
    {"max-runners", "min-runners", "schedule", "idle-timeout", "start-timeout", "job-timeout"}
)
_IN_PLACE = _LIMITS | {LABELS, "token", "app"}
"""What a runner is not made with; of the credentials, it gets `proxy` and `ca`."""
_HOUSEKEEPING = frozenset(
    {
        *("shared-volume-ttl", "shared-volume-cleanup-interval"),
        *("buildx-cleanup", "buildx-cleanup-ttl", "buildx-cleanup-interval"),
        *("prune-on-exit", "prune-images-after", "pull", "pull-interval", "registry-mirror", "registry-auth"),
        *("cache-cleanup", "cache-max-age", "cache-space-budget", "cache-cleanup-interval"),
        *("pool-size", "boot-timeout", "max-vms", "image-pull-policy"),
    }
)
"""Keys in the tables of backends that do not shape a runner."""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key with another value than before, both as people may see them: secrets are masked."""

    path: TomlPath
    label: str
    before: str
    after: str
    secret: bool = False

    def __str__(self) -> str:
        return f"{self.label} changed" if self.secret else f"{self.label} {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class SetChange:
    """A scale set that stays, with other settings than before."""

    settings: ScaleSetSettings
    keys: tuple[KeyChange, ...]

    @property
    def reconnects(self) -> bool:
        """Its calls to GitHub are made with something else."""
        return any(one.path[0] in CREDENTIALS for one in self.keys)

    @property
    def relabels(self) -> bool:
        return any(one.path[0] == LABELS for one in self.keys)

    @property
    def reshapes_runners(self) -> bool:
        """A runner that starts now differs from those that are there."""
        return any(one.path[0] not in _IN_PLACE and one.path[-1] not in _HOUSEKEEPING for one in self.keys)


@dataclass(frozen=True, slots=True)
class ConfigChanges:
    """`live` are keys of the whole process that are in force at once, `waiting` those that take a restart."""

    added: tuple[ScaleSetSettings, ...] = ()
    removed: tuple[ScaleSetSettings, ...] = ()
    changed: tuple[SetChange, ...] = ()
    live: tuple[KeyChange, ...] = ()
    waiting: tuple[KeyChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.live or self.waiting)


def change_lines(
    changes: ConfigChanges,
    moving: Collection[ScaleSetKey] = (),
    returning: Collection[ScaleSetKey] = (),
) -> Iterator[str]:
    """For people: what is different and what that does, a line each. `moving` scale sets go to another
    backend, `returning` ones were taken out before and still have runners."""
    for key in (*changes.live, *changes.waiting):
        yield f"{key}: takes a restart" if key in changes.waiting else str(key)
    for added in changes.added:
        later = " once the runners that it had before have ended" if added.key in returning else ""
        yield f"scale set {added.name}: added, it starts{later or ' now'}"
    for removed in changes.removed:
        yield f"scale set {removed.name}: removed, it takes no new jobs and ends once its jobs have"
    for change in changes.changed:
        yield f"scale set {change.settings.name}: {_what_follows(change, moving)}"


def _what_follows(change: SetChange, moving: Collection[ScaleSetKey]) -> str:
    keys = ", ".join(map(str, change.keys))
    if change.settings.key in moving:
        return f"{keys}; it begins anew there once its runners here have ended"
    if change.reshapes_runners:
        return f"{keys}; for runners that start from now on, idle ones are replaced"
    return keys


def compare(old: Config, new: Config) -> ConfigChanges:
    """Scale sets are told apart by url, runner group and name."""
    before = {one.key: one for one in old.scale_sets}
    after = {one.key: one for one in new.scale_sets}
    of_process = list(_differences(old, new, global_keys()))
    return ConfigChanges(
        added=tuple(one for key, one in after.items() if key not in before),
        removed=tuple(one for key, one in before.items() if key not in after),
        changed=tuple(_changed(before, after)),
        live=tuple(one for one in of_process if one.path[0] not in NEED_RESTART | WITHOUT_TRACE),
        waiting=tuple(one for one in of_process if one.path[0] in NEED_RESTART),
    )


def _changed(
    before: Mapping[ScaleSetKey, ScaleSetSettings], after: Mapping[ScaleSetKey, ScaleSetSettings]
) -> Iterator[SetChange]:
    for key, settings in after.items():
        if key not in before or before[key] == settings:
            continue
        backends = {before[key].backend, settings.backend}
        specs = {
            path: spec
            for path, spec in scale_set_keys().items()
            if any(concerns_backend(path, backend) for backend in backends)
        }
        keys = tuple(_differences(before[key], settings, specs))
        if keys:
            yield SetChange(settings, keys)


def _differences(old: Settings, new: Settings, specs: Mapping[TomlPath, KeySpec]) -> Iterator[KeyChange]:
    for path, spec in specs.items():
        before, after = value_at(old, path), value_at(new, path)
        if before != after:
            shown = _shown(spec, before), _shown(spec, after)
            yield KeyChange(path, spec.label, *shown, secret=spec.key.secret or shown[0] == shown[1])
    if isinstance(old, ScaleSetSettings) and isinstance(new, ScaleSetSettings):
        yield from _environment(old.docker, new.docker)


def _environment(old: DockerSettings, new: DockerSettings) -> Iterator[KeyChange]:
    """DOCKER_HOST is no key, but names the engine where no key does."""
    if old.endpoint != new.endpoint and (old.host, old.socket) == (new.host, new.socket):
        yield KeyChange(("docker", "host"), "DOCKER_HOST", old.endpoint, new.endpoint)


def _shown(spec: KeySpec, value: object) -> str:
    if value is None:
        return "unset"
    plain = masked_value(spec, value)
    return plain if isinstance(plain, str) and plain else json.dumps(plain, ensure_ascii=False)
