"""Checks that an engine is usable for a scale set (docs/behaviour.md § 12)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.docker import answers
from runscaler.backends.docker.images import OLD_DAYS, ImageRequest
from runscaler.errors import BackendDown, BackendError
from runscaler.findings import Finding, Level

if TYPE_CHECKING:
    from runscaler.backends.docker.engine import Engine
    from runscaler.backends.docker.images import Images
    from runscaler.config.model import ScaleSetSettings

OLDEST_PLATFORM_API = (1, 41)
"""The first API version in which a container can be created for a platform."""


def findings(engine: Engine, images: Images, settings: ScaleSetSettings) -> list[Finding]:
    """A finding for each thing that was checked, with fixes for problems. Changes and pulls nothing."""
    name = settings.name
    try:
        found = [_engine_finding(engine, settings)]
        found += [_image_finding(images, engine.url, settings)]
    except BackendError as error:
        return [Finding(Level.ERROR, str(error), error.fixes, name)]
    return [*found, *_host_findings(engine, settings)]


def _engine_finding(engine: Engine, settings: ScaleSetSettings) -> Finding:
    with engine.call("check the engine", seconds=10.0) as api:
        version = answers.table(api.version(api_version=False), "the version")
        api_version = api.api_version
    text = f"Docker engine {engine.url}: version {version.get('Version', 'unknown')}, API {api_version}"
    numbers = tuple(int(part) for part in api_version.split(".") if part.isdecimal())
    if settings.docker.platform and numbers < OLDEST_PLATFORM_API:
        return Finding(
            Level.ERROR,
            f"{text} is too old for platform = {settings.docker.platform!r}",
            ("update the engine to 20.10 or later", "leave platform empty"),
            settings.name,
        )
    return Finding(Level.OK, text, (), settings.name)


def _image_finding(images: Images, engine: str, settings: ScaleSetSettings) -> Finding:
    wanted = ImageRequest.of(settings)
    age = images.age_in_days(wanted)
    if age is not None:
        return _age_finding(wanted, age, f"{wanted} is on the engine {engine}, {age} days old", settings.name)
    missing = f"{wanted} is not on the engine {engine}"
    if wanted.pull == "never":
        fixes = (f"pull it: `docker pull {wanted.image}`", 'set pull = "missing"')
        return Finding(Level.ERROR, f'{missing}, and pull is "never"', fixes, settings.name)
    try:
        images.ask_registry(wanted)
    except BackendDown:
        raise
    except BackendError as error:
        return Finding(Level.WARNING, f"{missing}: {error}", error.fixes, settings.name)
    return Finding(Level.WARNING, f"{missing}: its registry has it, the start pulls it", (), settings.name)


def _age_finding(wanted: ImageRequest, days: int, text: str, name: str) -> Finding:
    if days < OLD_DAYS:
        return Finding(Level.OK, text, (), name)
    fix = f"pull a newer one: `docker pull {wanted.image}`"
    return Finding(Level.WARNING, f"{text}: GitHub refuses runners a month behind", (fix,), name)


def _host_findings(engine: Engine, settings: ScaleSetSettings) -> list[Finding]:
    """Problems with files of this host that the containers need."""
    docker, found = settings.docker, []
    if settings.ca and not Path(settings.ca).is_file():
        found.append(Finding(Level.ERROR, f"ca {settings.ca}: there is no such file", (), settings.name))
    if docker.dind is True and engine.address.socket_path and not Path(docker.dind_path).is_socket():
        found.append(
            Finding(
                Level.ERROR,
                f"the engine socket {docker.dind_path} that dind mounts does not exist",
                ("set [docker] dind-socket to the engine's socket", "set dind = false"),
                settings.name,
            )
        )
    return found
