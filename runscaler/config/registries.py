"""One spelling for the hosts of image registries, and which login the settings give for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.backends import RegistryCredential

DOCKER_HUB = "docker.io"
_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


def registry_host(text: str) -> str:
    """The host and port of a registry as people write it: "https://index.docker.io/v1/" is "docker.io"."""
    _, _, rest = text.strip().lower().rpartition("://")
    host = rest.partition("/")[0]
    return DOCKER_HUB if host in _HUB_NAMES else host


def hosts_given_twice(auth: Mapping[str, RegistryCredential]) -> list[tuple[str, str]]:
    """Pairs of entries of `registry-auth` that mean the same registry."""
    first: dict[str, str] = {}
    return [
        (earlier, name) for name in auth if (earlier := first.setdefault(registry_host(name), name)) != name
    ]
