"""What the demo needs of an engine on this host: a local image, and a route from containers to this host
(docs/behaviour.md § 10.2)."""

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
    """How containers of an engine reach a server on this host.

    `network` is the value for [docker] network, `address` is where containers connect to. The server
    listens on `address` too, or on the loopback address if `address` is a name.
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
    """Make the image `name` ("repository:tag") from a root file system and Dockerfile instructions.

    Removes other tags of the repository, except those that containers use.
    """
    repository, tag = name.split(":")
    with _engine(url, f"make image {name}", IMPORT_SECONDS) as api:
        api.import_image_from_data(archive, repository, tag, list(changes))
        for other in _tags(api.images(repository)):
            if other != name:
                _remove_if_unused(api, other)


def remove_image(url: str, name: str) -> None:
    """Remove it unless a container uses it. No error if it is gone already."""
    with _engine(url, f"remove image {name}") as api:
        _remove_if_unused(api, name)


def route_to_host(url: str) -> RouteToHost | None:
    """The most reliable route from containers of this engine to this host; None if there is none.

    The host network of a local engine needs no bridge and no firewall rule, and its containers start several
    times faster. Docker Desktop's host network is that of its VM, but it has a name for this host. From
    containers of a rootless or remote engine there is no route.
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
    """The address of the engine's host for containers on the default bridge; None without a bridge."""
    with _engine(url, "look for the bridge's gateway") as api:
        return _gateway(api)


def _gateway(api: EngineApi) -> str | None:
    """As the engine states it. Before the bridge is used for the first time, as its interface has it."""
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
