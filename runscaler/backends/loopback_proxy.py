"""A proxy on this host's loopback, which containers and VMs cannot reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.config.proxy_url import revealed
from runscaler.findings import Finding, Level
from runscaler.net.proxies import unreachable_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.config.model import ScaleSetSettings


def loopback_proxy(settings: ScaleSetSettings, where: str, *fixes: str) -> Iterator[Finding]:
    """A warning that runners `where` ("in VMs") do without the daemon's proxy, if they do."""
    proxy = unreachable_proxy(revealed(settings.proxy))
    if proxy:
        text = f"the proxy {proxy} is on this host's loopback: runners {where} do without it"
        reachable = "set proxy to an address that they can reach"
        yield Finding(Level.WARNING, text, (reachable, *fixes), settings.name)
