"""What the demo needs of an engine on this host: a local image, and a route from containers to this host
(docs/behaviour.md § 10.2)."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

import psutil
from docker.errors import APIError, ImageNotFound

from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.facts import EngineFacts
from runscaler.backends.docker.image_names import familiar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runscaler.backends.docker.address import EngineAddress
    from runscaler.backends.docker.api import EngineApi, Inspection

IMPORT_SECONDS = 300.0
BRIDGE = "bridge"
LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")
ANYWHERE = ("203.0.113.1", 9)
"""An address that nobody has (RFC 5737)."""


@dataclass(frozen=True, slots=True)
class RouteToHost:
    """How containers of an engine reach a server on this host.

    `network` is the value for [docker] network, `address` is where containers connect to. The server
    listens on `address` too, or on the loopback address if `address` is a name.
    """

    network: str
    address: str


def has_image(address: EngineAddress, name: str) -> bool:
    with _engine(address, f"look for image {name}") as api:
        try:
            api.inspect_image(name)
        except ImageNotFound:
            return False
    return True


def import_image(address: EngineAddress, name: str, archive: Iterable[bytes], changes: Sequence[str]) -> None:
    """Make the image `name` ("repository:tag") from a root file system and Dockerfile instructions.

    Removes other tags of the repository, except those that containers use.
    """
    repository, _ = name.split(":")
    with _engine(address, f"make image {name}", IMPORT_SECONDS) as api:
        # With its tag, as Podman 4.3 takes none beside it.
        api.import_image_from_data(archive, name, None, list(changes))
        for other in _tags(api.images(repository)):
            if familiar(other).startswith(f"{repository}:") and familiar(other) != name:
                _remove_if_unused(api, other)


def remove_image(address: EngineAddress, name: str) -> None:
    """Remove it unless a container uses it. No error if it is gone already."""
    with _engine(address, f"remove image {name}") as api:
        _remove_if_unused(api, name)


def route_to_host(address: EngineAddress) -> RouteToHost | None:
    """The most reliable route from containers of this engine to this host; None if there is none.

    The host network of a local engine needs no bridge and no firewall rule, and its containers start several
    times faster. Docker Desktop's host network is that of its VM, but it has a name for this host. A rootless
    Docker engine has a network of its own, from which this host's loopback address cannot be reached. From
    containers of a remote engine there is no route.
    """
    if not _is_local(address):
        return None
    with _engine(address, "look how containers reach this host") as api:
        facts = EngineFacts.of(api.info())
        if "Docker Desktop" in facts.operating_system:
            return RouteToHost("", "host.docker.internal")
        if address.socket_path is None and facts.host_name != socket.gethostname():
            return None  # a tunnel
        if facts.is_rootless and not facts.is_podman:
            return _through("host", own_address())
        if facts.remaps_users:
            return _through("", _gateway(api))
        return RouteToHost("host", "127.0.0.1")


def _is_local(address: EngineAddress) -> bool:
    """May the engine be on this host?"""
    return address.socket_path is not None or address.parts.hostname in LOOPBACK_NAMES


def _through(network: str, address: str | None) -> RouteToHost | None:
    return RouteToHost(network, address) if address else None


def own_address() -> str | None:
    """The address of this host on the network of its default route; None if it has none. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ANYWHERE)
        except OSError:
            return None
        return str(probe.getsockname()[0])


def bridge_gateway(address: EngineAddress) -> str | None:
    """The address of the engine's host for containers on the default bridge; None without a bridge."""
    with _engine(address, "look for the bridge's gateway") as api:
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
def _engine(address: EngineAddress, doing: str, seconds: float = 60.0) -> Iterator[EngineApi]:
    engine = Engine(address)
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
