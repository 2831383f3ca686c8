"""Settings and images that an engine cannot run, by what it says about itself (docs/behaviour.md § 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.backends.docker.facts import MEGABYTE
from runscaler.findings import Finding, Level

if TYPE_CHECKING:
    from runscaler.backends.docker.api import Inspection
    from runscaler.backends.docker.facts import EngineFacts
    from runscaler.config.model import ScaleSetSettings

LEAST_MEMORY = 6
"""In MB: an engine takes no less for a container."""
NO_CGROUPS = (
    "give the engine's user its cgroups (systemd: Delegate=yes; the host: cgroup v2)",
    "use an engine that runs as root",
)
RUNS_ON = {"amd64": ("amd64", "386"), "arm64": ("arm64", "arm")}
"""The architectures of images that a processor runs by itself."""


def limit_findings(settings: ScaleSetSettings, facts: EngineFacts) -> list[Finding]:
    """Limits that the engine refuses (errors), that it ignores or that mean nothing (warnings)."""
    docker, name = settings.docker, settings.name
    found = []
    if 0 < docker.memory < LEAST_MEMORY:
        text = f"[docker] memory = {docker.memory}: the engine takes no less than {LEAST_MEMORY} MB"
        found.append(Finding(Level.ERROR, text, ("memory is in MB: 4096 are 4 GiB",), name))
    if docker.cpu and not facts.limits_cpu:
        text = f"[docker] cpu = {docker.cpu:g}: the engine cannot limit it, and refuses the container"
        found.append(Finding(Level.ERROR, text, (*NO_CGROUPS, "set cpu = 0"), name))
    elif docker.cpu > facts.cores > 0:
        text = f"[docker] cpu = {docker.cpu:g}: the engine has {facts.cores} cores, and refuses the container"
        found.append(Finding(Level.ERROR, text, (f"set cpu to {facts.cores} or less",), name))
    if docker.memory * MEGABYTE > facts.memory > 0:
        text = f"[docker] memory = {docker.memory}: the engine has {facts.memory // MEGABYTE} MB in all"
        found.append(Finding(Level.WARNING, text, (), name))
    ignored = [f"memory = {docker.memory}"] if docker.memory and not facts.limits_memory else []
    ignored += [f"pids-limit = {docker.pids_limit}"] if docker.pids_limit and not facts.limits_pids else []
    if ignored:
        text = f"the engine cannot limit its containers: [docker] {' and '.join(ignored)} has no effect"
        found.append(Finding(Level.WARNING, text, NO_CGROUPS, name))
    return found


def image_findings(settings: ScaleSetSettings, facts: EngineFacts, image: Inspection) -> list[Finding]:
    """What of an inspected image keeps a runner from starting, or may."""
    return [*_architecture_findings(settings, facts, image), *_entrypoint_findings(settings, image)]


def _architecture_findings(
    settings: ScaleSetSettings, facts: EngineFacts, image: Inspection
) -> list[Finding]:
    """A warning if `platform` asks for it: the host may have an emulator, which the engine does not tell."""
    foreign = str(image.get("Architecture") or "")
    own = facts.architecture
    if not foreign or not own or foreign in RUNS_ON.get(own, (own,)):
        return []
    level = Level.WARNING if settings.docker.platform else Level.ERROR
    text = (
        f"image {settings.runner_image} is for {foreign}, the engine's host is {own}: without an emulator a "
        "runner ends at once (exec format error)"
    )
    fixes = (
        f"use an image for {own}",
        f'if the host has an emulator (binfmt), say so: [docker] platform = "linux/{foreign}"',
    )
    return [Finding(level, text, fixes, settings.name)]


def _entrypoint_findings(settings: ScaleSetSettings, image: Inspection) -> list[Finding]:
    config = image.get("Config")
    entrypoint = config.get("Entrypoint") if isinstance(config, dict) else None
    if not entrypoint or not isinstance(entrypoint, list):
        return []
    words = " ".join(str(word) for word in entrypoint)
    text = (
        f"image {settings.runner_image} has an ENTRYPOINT of its own ({words}): it gets run-command "
        f"{settings.docker.run_command!r} as arguments, and must start it"
    )
    fixes = ("use an image without ENTRYPOINT, as GitHub's own actions-runner image is",)
    return [Finding(Level.WARNING, text, fixes, settings.name)]
