"""An engine on this host: images made for it on the spot, and how its containers reach us (docs/behaviour.md § 10.2)."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

import psutil
from docker.errors import APIError, ImageNotFound

from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runscaler.backends.docker.api import EngineApi, Inspection

IMPORT_SECONDS = 300.0
BRIDGE = "bridge"


@dataclass(frozen=True, slots=True)
class RouteToHost:
    """How containers of an engine reach a server that listens on this host.

    `network` is for [docker] network, `address` what they call; the server listens on `address`
    too, or on the loopback where `address` is a name.
    """

    network: str
    address: str


def has_image(url: str, name: str) -> bool:
    with _engine(url, f"look for image {name}") as api:
        try:
            api.inspect_image(name)
        except ImageNotFound:
            return False
    return True


def import_image(url: str, name: str, archive: Iterable[bytes], changes: Sequence[str]) -> None:
    """Make image `name` ("repository:tag") of a root file system and Dockerfile instructions.

    Other tags of the repository go, but for those that containers use.
    """
    repository, tag = name.split(":")
    with _engine(url, f"make image {name}", IMPORT_SECONDS) as api:
        api.import_image_from_data(archive, repository, tag, list(changes))
        for other in _tags(api.images(repository)):
            if other != name:
                _remove_if_unused(api, other)


def remove_image(url: str, name: str) -> None:
    """Gone already, or in use, is fine."""
    with _engine(url, f"remove image {name}") as api:
        _remove_if_unused(api, name)


def route_to_host(url: str) -> RouteToHost | None:
    """The surest way for containers of this engine to reach a server here; None: there is none.

    A local engine's host network needs no bridge and no firewall rule, and such containers start
    several times faster. Docker Desktop's "host" is its VM, out of which a name leads. A rootless
    engine keeps its containers from this host, and a remote one is elsewhere.
    """
    if EngineAddress(url).socket_path is None:
        return None
    with _engine(url, "look how containers reach this host") as api:
        info = api.info()
        options = " ".join(str(option) for option in _list(info.get("SecurityOptions")))
        if "Docker Desktop" in str(info.get("OperatingSystem", "")):
            return RouteToHost("", "host.docker.internal")
        if "name=rootless" in options:
            return None
        if "name=userns" not in options:
            return RouteToHost("host", "127.0.0.1")
        gateway = _gateway(api)
    return RouteToHost("", gateway) if gateway else None


def bridge_gateway(url: str) -> str | None:
    """The address at which containers on the engine's default bridge reach its host; None: no bridge."""
    with _engine(url, "look for the bridge's gateway") as api:
        return _gateway(api)


def _gateway(api: EngineApi) -> str | None:
    """As the engine states it; it may not before the bridge's first use, but the interface has it."""
    found = next((network for network in api.networks([BRIDGE]) if network.get("Name") == BRIDGE), None)
    if found is None:
        return None
    pools = [pool for pool in _list(_table(found.get("IPAM")).get("Config")) if isinstance(pool, dict)]
    for pool in pools:
        if pool.get("Gateway"):
            return str(pool["Gateway"])
    interface = str(_table(found.get("Options")).get("com.docker.network.bridge.name", "docker0"))
    own = [address.address for address in psutil.net_if_addrs().get(interface, ())]
    subnets = [ip_network(str(pool["Subnet"])) for pool in pools if pool.get("Subnet")]
    first = (str(next(subnet.hosts())) for subnet in subnets)
    return next((address for address in first if not own or address in own), None)


@contextmanager
def _engine(url: str, doing: str, seconds: float = 60.0) -> Iterator[EngineApi]:
    engine = Engine(EngineAddress(url))
    try:
        with engine.call(doing, seconds=seconds) as api:
            yield api
    finally:
        engine.disconnect()


def _tags(images: Iterable[Inspection]) -> list[str]:
    return [str(tag) for image in images for tag in _list(image.get("RepoTags"))]


def _remove_if_unused(api: EngineApi, name: str) -> None:
    try:
        api.remove_image(name)
    except APIError as error:
        if error.status_code not in (404, 409):
            raise


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
