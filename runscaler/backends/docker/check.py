"""Checks that an engine is usable for a scale set (docs/behaviour.md § 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import NotFound

from runscaler.backends.docker import answers
from runscaler.backends.docker.facts import EngineFacts
from runscaler.backends.docker.image_request import ImageRequest
from runscaler.backends.docker.images import OLD_DAYS
from runscaler.backends.docker.limits import image_findings, limit_findings
from runscaler.backends.docker.sidecar_check import sidecar_findings
from runscaler.backends.loopback_proxy import loopback_proxy
from runscaler.errors import BackendDown, BackendError
from runscaler.findings import Finding, Level
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from runscaler.backends.docker.engine import Engine
    from runscaler.backends.docker.images import Images
    from runscaler.backends.docker.socket_group import SocketGroups
    from runscaler.config.model import ScaleSetSettings

OLDEST_PLATFORM_API = (1, 41)
"""The first API version in which a container can be created for a platform."""
MODES = ("bridge", "host", "none", "default")
"""What is no network's name, and always there."""


def findings(
    engine: Engine, images: Images, sockets: SocketGroups, settings: ScaleSetSettings
) -> list[Finding]:
    """A finding for each thing that was checked, with fixes for problems. Pulls and leaves nothing."""
    name = settings.name
    try:
        found = [_engine_finding(engine, settings)]
        found += [
            _image_finding(images, engine.url, one, settings.name) for one in ImageRequest.all_of(settings)
        ]
        found += _fitting_findings(engine, images, settings)
        found += _network_findings(engine, settings)
        found += _socket_findings(images, sockets, settings)
    except BackendError as error:
        return [Finding(Level.ERROR, str(error), error.fixes, name)]
    if settings.docker.network != "host":
        found += loopback_proxy(settings, "in containers", 'set [docker] network = "host"')
    return found


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


def _image_finding(images: Images, engine: str, wanted: ImageRequest, name: str) -> Finding:
    age = images.age_in_days(wanted)
    if age is not None:
        return _age_finding(wanted, age, f"{wanted} is on the engine {engine}, {age} days old", name)
    missing = f"{wanted} is not on the engine {engine}"
    if wanted.pull == "never":
        fixes = (f"pull it: `docker pull {wanted.image}`", 'set pull = "missing"')
        return Finding(Level.ERROR, f'{missing}, and pull is "never"', fixes, name)
    try:
        who = images.ask_registry(wanted)
    except BackendDown:
        raise
    except BackendError as error:
        return Finding(Level.WARNING, f"{missing}: {error}", error.fixes, name)
    return Finding(Level.WARNING, f"{missing}: {who} has it, the start pulls it", (), name)


def _age_finding(wanted: ImageRequest, days: int, text: str, name: str) -> Finding:
    if days < OLD_DAYS or not wanted.is_runner:
        return Finding(Level.OK, text, (), name)
    fix = f"pull a newer one: `docker pull {wanted.image}`"
    return Finding(Level.WARNING, f"{text}: GitHub refuses runners a month behind", (fix,), name)


def _fitting_findings(engine: Engine, images: Images, settings: ScaleSetSettings) -> list[Finding]:
    """What the engine cannot do of what the settings ask for, and what is odd about the image."""
    with engine.call("ask the engine what it can do", seconds=10.0) as api:
        facts = EngineFacts.of(api.info())
    image = images.inspect(ImageRequest.of(settings))
    found = [*limit_findings(settings, facts), *sidecar_findings(settings, facts)]
    return [*found, *(image_findings(settings, facts, image) if image else ())]


def _network_findings(engine: Engine, settings: ScaleSetSettings) -> list[Finding]:
    network = settings.docker.network
    if not network or network in MODES or network.startswith("container:"):
        return []
    with engine.call(f"look for network {network}", seconds=10.0) as api:
        try:
            api.inspect_network(network)
        except NotFound:
            fixes = (f"create it: `docker network create {network}`", "correct [docker] network")
            text = f"the engine {engine.url} has no network {network}"
            return [Finding(Level.ERROR, text, fixes, settings.name)]
    return []


def _socket_findings(images: Images, sockets: SocketGroups, settings: ScaleSetSettings) -> list[Finding]:
    """Whether jobs can use the mounted engine socket. Only a container can tell, which needs the image."""
    docker, name = settings.docker, settings.name
    if docker.dind is not True or images.find(ImageRequest.of(settings)) is None:
        return []
    subject = f"the engine socket {docker.dind_path} that dind mounts"
    try:
        seen = sockets.look(settings, Interrupt())
    except BackendDown:
        raise
    except BackendError as error:
        fixes = ("set [docker] dind-socket to the socket's path on the engine's host", "set dind = false")
        return [Finding(Level.ERROR, f"{subject} cannot be mounted: {error}", fixes, name)]
    if docker.dind_group:
        return []
    if seen.trouble:
        fixes = ("set [docker] dind-group to a group that may use it", "set dind = false")
        return [Finding(Level.ERROR, f"jobs cannot use {subject}: {seen.trouble}", fixes, name)]
    if seen.group is None:
        fix = f"set [docker] dind-group to what `stat -c %g {docker.dind_path}` says on the engine's host"
        text = f"jobs may lack the right to use {subject}: its group cannot be told ({seen.why})"
        return [Finding(Level.WARNING, text, (fix,), name)]
    return []
