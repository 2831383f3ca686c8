"""What the housekeeping keys of several scale sets mean together (docs/behaviour.md § 7.1, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.findings import Finding, Level
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runscaler.config.model import ScaleSetSettings


def common_ttl(users: Sequence[ScaleSetSettings]) -> float:
    """Of scale sets that share the volume: the longest, in seconds. 0, which is never, is the longest."""
    ttls = [one.docker.shared_volume_ttl for one in users]
    return max(ttls) if ttls and all(ttls) else 0.0


def different_ttls(scale_sets: Iterable[ScaleSetSettings]) -> list[Finding]:
    """A warning for each engine whose shared volume has scale sets with different TTLs."""
    by_engine: dict[str, list[ScaleSetSettings]] = {}
    for one in scale_sets:
        if one.backend == "docker" and one.docker.shared_volume:
            by_engine.setdefault(one.docker.endpoint, []).append(one)
    return [
        _difference(engine, users)
        for engine, users in by_engine.items()
        if len({one.docker.shared_volume_ttl for one in users}) > 1
    ]


def _difference(engine: str, users: Sequence[ScaleSetSettings]) -> Finding:
    ttl = common_ttl(users)
    each = ", ".join(f"{one.name} {format_duration(one.docker.shared_volume_ttl)}" for one in users)
    means = (
        f"{format_duration(ttl)} counts, the longest" if ttl else "nothing is deleted, as one of them is 0"
    )
    text = f"[docker] shared-volume-ttl differs for one volume on {engine} ({each}): {means}"
    return Finding(Level.WARNING, text, ("give these scale sets the same shared-volume-ttl",))


def ttl_without_volume(scale_sets: Iterable[ScaleSetSettings]) -> list[Finding]:
    """A warning where files are to be deleted in a shared volume that no scale set has."""
    docker = [one.docker for one in scale_sets if one.backend == "docker"]
    if any(one.shared_volume for one in docker) or not any(one.shared_volume_ttl for one in docker):
        return []
    fixes = (
        'set shared-volume to the path where jobs find it, such as "/shared"',
        "remove shared-volume-ttl",
    )
    return [Finding(Level.WARNING, "[docker] shared-volume-ttl has no effect without shared-volume", fixes)]


def switched_off(scale_sets: Iterable[ScaleSetSettings]) -> list[str]:
    """The sweeps that the configuration does without, a line each: the key, and what stays."""
    found: dict[str, None] = {}
    for one in scale_sets:
        found |= dict.fromkeys(_off_for_docker(one) if one.backend == "docker" else ())
        if one.backend == "tart" and not one.tart.cache_cleanup:
            found["[tart] cache-cleanup = false: Tart's caches stay"] = None
    return list(found)


def _off_for_docker(one: ScaleSetSettings) -> list[str]:
    docker = one.docker
    off = {
        "[docker] shared-volume-ttl = 0: files in the shared volume stay": docker.shared_volume
        and not docker.shared_volume_ttl,
        "[docker] buildx-cleanup = false: builders of buildx stay": not docker.buildx_cleanup,
        "[docker] prune-images-after = 0: unused runner images stay": not docker.prune_images_after,
    }
    return [line for line, is_off in off.items() if is_off]
